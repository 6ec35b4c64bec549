"""One plain sentence on why a forecast is what it is."""

from __future__ import annotations

from functools import lru_cache
from math import expm1

from riskcast.models.base import Floats
from riskcast.tables.themes import THEMES

NEAR = 0.03  # change of volatility too small to call above or below
MOST = 3  # reasons told
WORTH = 0.25  # of the largest reason; what is smaller goes unsaid


def sentence(columns: tuple[str, ...], contributions: Floats) -> str:
    """Say how the forecast compares with its usual level, and which groups of features made it so.

    Percentages are changes of volatility. Effects multiply: each is what its group alone would
    do. The usual level is the base, the mean forecast in logs of the training window.

    Parameters
    ----------
    columns : tuple of str, length p
    contributions : ndarray, shape (p + 1,)
        Effect of each column on ln h, then the base, as `Servable.contributions` of one row.
    """
    effects = contributions[:-1].tolist()
    total = sum(effects)
    reasons = sorted(_reasons(columns, effects), key=lambda reason: -abs(reason[0]))
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


def _reasons(columns: tuple[str, ...], effects: list[float]) -> list[tuple[float, str]]:
    """Return effect on ln h and words of each theme; columns of none are named themselves."""
    found = []
    for where, raises, lowers in _groups(columns):
        effect = sum([effects[i] for i in where])
        if effect:
            found.append((effect, raises if effect > 0 else lowers))
    return found


@lru_cache(maxsize=16)  # models; their columns do not change from forecast to forecast
def _groups(columns: tuple[str, ...]) -> tuple[tuple[tuple[int, ...], str, str], ...]:
    """Return, for each theme among the columns, where its columns stand and its words."""
    where = {name: i for i, name in enumerate(columns)}
    themes = [
        (tuple(where.pop(n) for n in theme.columns if n in where), theme.raises, theme.lowers)
        for theme in THEMES
    ]
    rest = [((i,), f"{name} raises it", f"{name} lowers it") for name, i in where.items()]
    return (*themes, *rest)


def _told(effect: float, words: str) -> str:
    return f"{words} ({_change(effect):+.0%})"


def _change(effect: float) -> float:
    """Return the relative change of volatility by an effect on the log of variance."""
    return expm1(effect / 2)
