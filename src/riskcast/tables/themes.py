"""What groups of features say about risk, in words for a reader who knows no column name."""

from __future__ import annotations

from dataclasses import dataclass

from riskcast.tables import gold


@dataclass(frozen=True, slots=True)
class Theme:
    """Columns that tell of one thing.

    Attributes
    ----------
    raises, lowers : str
        What is the case when together they raise or lower the forecast.
    """

    raises: str
    lowers: str
    columns: tuple[str, ...]


_VIX = ("lvix", "dvix1", "dvix5", "vixgap", "vixhl", "vix", "vix3m", "vix_term")
_SWINGS = (
    *(f"tv{n}" for n in (1, 5, 22, 66)),
    *("ew94", "rv5", "rv22", "yz10"),
    *(f"spy_vol_{n}d" for n in (5, 10, 20)),
)
_FALLS = (
    *("r1neg", "r5s", "neg5", "neg22", "dd", "drawdown_60d", "rsi_spy_14"),
    *(f"spy_ret_{n}d" for n in (1, 5, 10, 20)),
)
_SHAPE = ("skew_20d", "kurt_20d")
_OWN = {*_VIX, *_SWINGS, *_FALLS, *_SHAPE}

THEMES = (
    Theme("VIX is high or rising", "VIX is low or falling", _VIX),
    Theme("recent sessions were volatile", "recent sessions were calm", _SWINGS),
    Theme("prices have been falling", "prices have been rising or steady", _FALLS),
    Theme("returns have been lopsided or extreme", "returns have been even", _SHAPE),
    Theme(
        "other markets are tense",
        "other markets are calm",
        tuple(c.name for c in gold.MARKET if c.name not in _OWN),
    ),
    Theme(
        "the economy speaks for more risk",
        "the economy speaks for less risk",
        tuple(c.name for c in gold.MACRO),
    ),
    Theme(
        "the market is in a tense state",
        "the market is in a calm state",
        tuple(c.name for c in gold.REGIME),
    ),
)
