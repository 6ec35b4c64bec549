"""One plain sentence on why a forecast is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1

from riskcast.models.base import Floats
from riskcast.tables.themes import THEMES

NEAR = 0.03  # change of volatility too small to call above or below
MOST = 3  # reasons told
WORTH = 0.25  # of the largest reason; what is smaller goes unsaid


def sentence(columns: Sequence[str], contributions: Floats) -> str:
    """Say how the forecast compares with its usual level, and which groups of features made it so.

    Percentages are changes of volatility. Effects multiply: each is what its group alone would
    do. The usual level is the base, the mean forecast in logs of the training window.

    Parameters
    ----------
    columns : sequence of str, length p
    contributions : ndarray, shape (p + 1,)
        Effect of each column on ln h, then the base, as `Servable.contributions` of one row.
    """
    effects = dict(zip(columns, contributions[:-1].tolist(), strict=True))
    total = sum(effects.values())
    reasons = sorted(_reasons(effects), key=lambda reason: -abs(reason[0]))
    if abs(_change(total)) < NEAR:
        told = [_told(*reason) for reason in reasons[:2]]
        return f"Risk is near its usual level: {' and '.join(told) or 'nothing stands out'}."
    pulling = [reason for reason in reasons if reason[0] * total > 0]
    against = [reason for reason in reasons if reason[0] * total < 0]
    largest = abs(pulling[0][0])
    said = [_told(*r) for r in pulling[:MOST] if abs(r[0]) >= WORTH * largest]
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    text = (
        f"Risk is {abs(_change(total)):.0%} {'above' if total > 0 else 'below'} its usual level, "
        f"mainly because {listed}"
    )
    if against and abs(against[0][0]) >= WORTH * largest:
        text += f"; against that, {_told(*against[0])}"
    return f"{text}."


def _reasons(effects: dict[str, float]) -> list[tuple[float, str]]:
    """Return effect on ln h and words of each theme; columns of none are named themselves."""
    found = []
    rest = dict(effects)
    for theme in THEMES:
        effect = sum(rest.pop(name, 0.0) for name in theme.columns)
        if effect:
            found.append((effect, theme.raises if effect > 0 else theme.lowers))
    found += [
        (effect, f"{name} {'raises' if effect > 0 else 'lowers'} it")
        for name, effect in rest.items()
        if effect
    ]
    return found


def _told(effect: float, words: str) -> str:
    return f"{words} ({_change(effect):+.0%})"


def _change(effect: float) -> float:
    """Return the relative change of volatility by an effect on the log of variance."""
    return expm1(effect / 2)
