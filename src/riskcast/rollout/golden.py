"""Requests whose answers were recorded at training: a server must give them again. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from riskcast.models.base import Floats
from riskcast.models.served import ServedModel

RECORDED = 5
TOLERANCE = 1e-9  # relative: another machine may add in another order, no more
REGIMES = ("calm", "transition", "risk_off")


def record(
    model: ServedModel, x: Floats, thresholds: Floats, count: int = RECORDED
) -> list[dict[str, Any]]:
    """Return the answers of the training process to sessions spread over those given.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features in the order of `model.columns`; rows with an unknown value are left out.
    thresholds : ndarray, shape (n, 2)

    Returns
    -------
    list of dict
        ``features`` (name to value), ``rv_5d_hat``, ``intervals`` and ``regime_probs`` as
        `/predict` answers them.
    """
    known = np.flatnonzero(np.isfinite(x).all(axis=1) & np.isfinite(thresholds).all(axis=1))
    if not len(known):
        return []
    at = known[np.unique(np.linspace(0, len(known) - 1, count).round().astype(int))]
    made = model.forecast(x[at], thresholds[at])
    return [
        {
            "features": {
                **dict(zip(model.columns, x[row].tolist(), strict=True)),
                **dict(zip(model.thresholds, thresholds[row].tolist(), strict=True)),
            },
            "rv_5d_hat": math.sqrt(float(made.variance[i])),
            "intervals": {str(level): ends[i].tolist() for level, ends in made.intervals.items()},
            "regime_probs": dict(zip(REGIMES, made.regime_probs[i].tolist(), strict=True)),
        }
        for i, row in enumerate(at)
    ]


def difference(recorded: Mapping[str, Any], answered: Mapping[str, Any]) -> str:
    """Return the first value that differs by more than `TOLERANCE`, in words; empty if none."""
    found = dict(numbers(answered))
    for name, value in numbers(recorded):
        other = found.get(name)
        if other is None or not math.isclose(value, other, rel_tol=TOLERANCE, abs_tol=1e-12):
            return f"{name} is {other}, recorded at training was {value}"
    return ""


def numbers(answer: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Give name and value of every figure of a forecast, in the shape of `/predict`.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        If the answer does not have that shape.
    """
    yield "rv_5d_hat", float(answer["rv_5d_hat"])
    for name, value in answer["regime_probs"].items():
        yield f"regime_probs.{name}", float(value)
    ends: Sequence[float]
    for level, ends in answer["intervals"].items():
        for end, value in zip(("lower", "upper"), ends, strict=True):
            yield f"intervals.{level}.{end}", float(value)
