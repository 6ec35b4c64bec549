"""Columns from VIX: what options say about the next month's variance."""

from __future__ import annotations

import polars as pl

from riskcast.features.windows import TRADING_DAYS, change, log, log_variance, ratio, seeded_ewm


def implied_variance(vix: pl.Expr) -> pl.Expr:
    """Return the daily variance implied by VIX in annualised percent: VIX^2 / 252 / 10^4."""
    return vix.pow(2) / TRADING_DAYS / 1e4


def vix_columns(vix: pl.Expr, vix3m: pl.Expr, high: pl.Expr, low: pl.Expr) -> dict[str, pl.Expr]:
    """Return levels, term structure, changes and range.

    Parameters
    ----------
    vix, vix3m : expressions over the asset's sessions
        Closes in annualised percent, null where the index has no value.
    high, low : expressions
        Highest and lowest VIX of the session.
    """
    level = log(vix)
    return {
        "vix": vix,
        "vix3m": vix3m,
        "vix_term": ratio(vix3m, vix),
        "lvix": log_variance(pl.when(vix > 0).then(implied_variance(vix))),
        "dvix1": change(level, 1),
        "dvix5": change(level, 5),
        "vixgap": level - seeded_ewm(level, alpha=2 / 23, seed=22),
        "vixhl": log(high / low),
    }
