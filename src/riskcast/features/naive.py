"""Forecasts that need no fitting: 5-session variances every candidate has to beat."""

from __future__ import annotations

import polars as pl

from riskcast.features.windows import log_variance, mean_square, seeded_ewm

HORIZON = 5  # sessions ahead of a label
DECAY = 0.94


def riskmetrics(returns: pl.Expr) -> pl.Expr:
    """Return the EWMA daily variance of RiskMetrics (1996), decay 0.94.

    sigma2_t = 0.94 sigma2_{t-1} + 0.06 r_t^2, seeded by the mean of the first 20 squared returns;
    sigma2_t is the forecast for the session after t.
    """
    return seeded_ewm(returns * returns, alpha=1 - DECAY, seed=20)


def mean_since_start(returns: pl.Expr) -> pl.Expr:
    """Return the mean of all squared returns up to here."""
    square = returns * returns
    return square.cum_sum() / square.is_not_null().cum_sum()


def naive_columns(returns: pl.Expr) -> dict[str, pl.Expr]:
    """Return the naive forecasts of the 5-session variance, and the log of the EWMA itself."""
    return {
        "hv20": HORIZON * mean_square(returns, 20),
        "ewma": HORIZON * riskmetrics(returns),
        "mean_var": HORIZON * mean_since_start(returns),
        "ew94": log_variance(riskmetrics(returns)),
    }
