"""Variance of a session from its range: daily variances, not annualised.

An index quotes its open as the previous close for decades, and a spot price has none, so there
opens cannot be trusted. Which estimator a series gets is decided by how it is quoted, for its
whole history: to switch when the opens turn good would put a step into the series.
"""

from __future__ import annotations

import math

import polars as pl

from riskcast.features.windows import log, log_variance

SESSION_WINDOWS = (1, 5, 22, 66)
OPENS_TRUSTED = frozenset({"adjusted", "raw+adj"})


def parkinson(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """Return ln(H/L)^2 / (4 ln 2), variance of the session (Parkinson 1980). Needs no open."""
    return log(high / low).pow(2) / (4 * math.log(2))


def garman_klass(open_: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Return ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2, open to close (Garman and Klass 1980)."""
    return log(high / low).pow(2) / 2 - (2 * math.log(2) - 1) * log(close / open_).pow(2)


def rogers_satchell(open_: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Return ln(H/C) ln(H/O) + ln(L/C) ln(L/O), free of drift (Rogers and Satchell 1991)."""
    above = log(high / close) * log(high / open_)
    below = log(low / close) * log(low / open_)
    return above + below


def overnight(open_: pl.Expr, close: pl.Expr, returns: pl.Expr) -> pl.Expr:
    """Return the log return from the previous close to the open.

    It is what the open-to-close return leaves of the whole session's, so it includes dividends
    as the adjusted return does, whatever scale the bar itself is on.
    """
    return returns - log(close / open_)


def yang_zhang(
    open_: pl.Expr,
    high: pl.Expr,
    low: pl.Expr,
    close: pl.Expr,
    returns: pl.Expr,
    sessions: int = 10,
) -> pl.Expr:
    """Return the daily variance of Yang and Zhang (2000), their equations 6 to 8.

    V_overnight + k V_open-to-close + (1 - k) V_RS with k = 0.34 / (1.34 + (n + 1) / (n - 1)); the
    first two are sample variances about their mean, the last the mean of Rogers-Satchell.
    """
    n = sessions
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    jump = overnight(open_, close, returns).rolling_var(n)
    day = log(close / open_).rolling_var(n)
    range_ = rogers_satchell(open_, high, low, close).rolling_mean(n)
    return jump + k * day + (1 - k) * range_


def range_columns(price_basis: str) -> dict[str, pl.Expr]:
    """Return the log range variances of the asset's bars, by how its prices are quoted.

    Expressions over open, high, low, close and ret. Where opens can be trusted the session's
    variance is squared overnight return plus Garman-Klass, and yz10 is Yang-Zhang; elsewhere both
    rest on Parkinson, which leaves the overnight move out.
    """
    open_, high, low, close, returns = (pl.col(c) for c in ("open", "high", "low", "close", "ret"))
    if price_basis in OPENS_TRUSTED:
        jump = overnight(open_, close, returns).pow(2)
        session = jump + garman_klass(open_, high, low, close)
        ten = yang_zhang(open_, high, low, close, returns, 10)
    else:
        session = parkinson(high, low)
        ten = session.rolling_mean(10)
    return {
        **{f"tv{n}": log_variance(session.rolling_mean(n)) for n in SESSION_WINDOWS},
        "yz10": log_variance(ten),
    }
