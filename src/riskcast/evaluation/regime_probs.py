"""Regime probabilities along time: each blend as it could have been fitted on its day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from riskcast.core.errors import LookAhead
from riskcast.models.base import Dates, Floats
from riskcast.models.regime_logits import (
    MIN_CASES,
    MIN_ROWS,
    RegimeLogits,
    classes,
    fit_logits,
    temperature_of,
)

REFIT = 63  # sessions


@dataclass(frozen=True, slots=True)
class Past:
    """Out-of-sample forecasts in order of date, n rows, and what they left to explain.

    Attributes
    ----------
    columns : tuple of str, length p
    x : ndarray, shape (n, p)
    log_h, rv : ndarray, shape (n,)
    thresholds : ndarray, shape (n, 2)
        Bounds of rv_5d known at each session; NaN where there are none yet.
    implied : ndarray, shape (n, 3)
        Probabilities from the ratios of outcomes known at each session; NaN before there are any.
    crps : ndarray, shape (n,)
        Of the distribution those ratios give; NaN before there are any.
    """

    columns: tuple[str, ...]
    dates: Dates
    known: Dates
    x: Floats
    log_h: Floats
    rv: Floats
    thresholds: Floats
    implied: Floats
    crps: Floats


def walk(past: Past) -> tuple[Floats, Floats]:
    """Return the probabilities that would have been published, and before tempering, (n, 3) each.

    Every REFIT sessions the logits are fitted on the outcomes known by then, and the temperature
    on the earlier blends whose outcome is known. Until there are enough outcomes the implied
    probabilities stand alone, and there are none before tempering.
    """
    published, plain = past.implied.copy(), np.full(past.implied.shape, np.nan)
    first = np.flatnonzero(np.isfinite(past.implied).all(axis=1))
    for start in range(int(first[0]) if len(first) else len(past.dates), len(past.dates), REFIT):
        logits = fit_at(past, past.dates[start], plain)
        if logits is None:
            continue
        rows = slice(start, start + REFIT)
        given = (past.implied[rows], past.x[rows], past.log_h[rows], past.thresholds[rows])
        plain[rows] = logits.at(1.0).blend(*given)
        published[rows] = logits.blend(*given)
    return published, plain


def fit_at(past: Past, session: np.datetime64, plain: Floats) -> RegimeLogits | None:
    """Fit logits and temperature as at the close of `session`; None while outcomes are too few.

    Parameters
    ----------
    plain : ndarray, shape (n, 3)
        Earlier blends at temperature 1; NaN where there are none.

    Raises
    ------
    LookAhead
        If an outcome claims to be known before its forecast was made.
    """
    if (past.known <= past.dates).any():
        raise LookAhead("an outcome claims to be known when its forecast was made")
    seen = (past.known <= session) & np.isfinite(past.thresholds).all(axis=1)
    if not _enough(past, seen):
        return None
    end: date = past.known[seen].max().astype("datetime64[D]").item()
    logits = fit_logits(
        past.columns,
        past.x[seen],
        past.log_h[seen],
        past.rv[seen],
        past.thresholds[seen],
        fit_end=end,
    )
    scored = seen & np.isfinite(plain).all(axis=1)
    return logits.at(temperature_of(plain[scored], classes(past.rv, past.thresholds)[scored]))


def served_logits(past: Past, session: np.datetime64) -> RegimeLogits | None:
    """Return the logits to serve from `session` on; None while outcomes are too few."""
    return fit_at(past, session, walk(past)[1])


def _enough(past: Past, seen: NDArray[np.bool_]) -> bool:
    found = np.bincount(classes(past.rv, past.thresholds)[seen], minlength=3)
    return bool(found.sum() >= MIN_ROWS and found.min() >= MIN_CASES)
