"""Columns from closes and returns: momentum, dispersion, asymmetry, distance from the high."""

from __future__ import annotations

import math

import polars as pl

from riskcast.features.windows import (
    TRADING_DAYS,
    VARIANCE_FLOOR,
    log,
    log_variance,
    mean_square,
    ratio,
    seeded_ewm,
    sum_squares,
)

RETURN_SESSIONS = (1, 5, 10, 20)
VOLATILITY_SESSIONS = (5, 10, 20)


def drawdown(price: pl.Expr, sessions: int) -> pl.Expr:
    """Return the log distance of the close from the highest close of the window, at most 0."""
    return log(price / price.rolling_max(sessions))


def rsi(price: pl.Expr, sessions: int = 14) -> pl.Expr:
    """Return the relative strength index, 0 to 100, of Wilder (1978).

    Mean gain and loss of closing prices start as plain means of the first `sessions` changes and
    are then smoothed with weight 1/sessions on the newest. Null while no price has moved.
    """
    move = price.diff()
    gain = seeded_ewm(move.clip(lower_bound=0.0), alpha=1 / sessions, seed=sessions)
    loss = seeded_ewm((-move).clip(lower_bound=0.0), alpha=1 / sessions, seed=sessions)
    return 100.0 * ratio(gain, gain + loss)


def skewness(returns: pl.Expr, sessions: int = 20) -> pl.Expr:
    """Return the bias-corrected sample skewness, null while all returns are equal."""
    return _where_varied(returns, sessions, returns.rolling_skew(sessions, bias=False))


def kurtosis(returns: pl.Expr, sessions: int = 20) -> pl.Expr:
    """Return the bias-corrected sample excess kurtosis, null while all returns are equal."""
    measure = returns.rolling_kurtosis(sessions, fisher=True, bias=False)
    return _where_varied(returns, sessions, measure)


def _where_varied(returns: pl.Expr, sessions: int, measure: pl.Expr) -> pl.Expr:
    varied = returns.rolling_max(sessions) > returns.rolling_min(sessions)
    return pl.when(varied & measure.is_finite()).then(measure)


def negative_share(returns: pl.Expr, sessions: int) -> pl.Expr:
    """Return the share of squared returns that come from losses: negative semivariance, 0 to 1."""
    losses = sum_squares(returns.clip(upper_bound=0.0), sessions)
    return ratio(losses, sum_squares(returns, sessions)).clip(0.0, 1.0)


def market_columns(price: pl.Expr, returns: pl.Expr) -> dict[str, pl.Expr]:
    """Return the general market columns of the asset.

    Parameters
    ----------
    price, returns : expressions over the asset's sessions
        Adjusted close and its log return over one session.
    """
    return {
        **{f"spy_ret_{n}d": returns.rolling_sum(n) for n in RETURN_SESSIONS},
        **{
            f"spy_vol_{n}d": returns.rolling_std(n) * math.sqrt(TRADING_DAYS)
            for n in VOLATILITY_SESSIONS
        },
        "drawdown_60d": drawdown(price, 60),
        "rsi_spy_14": rsi(price),
        "skew_20d": skewness(returns),
        "kurt_20d": kurtosis(returns),
    }


def core_columns(price: pl.Expr, returns: pl.Expr) -> dict[str, pl.Expr]:
    """Return the core columns that need closes only.

    Log mean squared returns are the terms of Corsi's (2009) heterogeneous autoregression; losses
    over their own standard deviation carry its leverage extension. The standard deviation is
    floored at sqrt(VARIANCE_FLOOR).
    """
    deviation = returns.rolling_std(22).clip(lower_bound=math.sqrt(VARIANCE_FLOOR))
    return {
        "rv5": log_variance(mean_square(returns, 5)),
        "rv22": log_variance(mean_square(returns, 22)),
        "r1neg": (-returns).clip(lower_bound=0.0) / deviation,
        "r5s": returns.rolling_sum(5) / deviation,
        "neg5": negative_share(returns, 5),
        "neg22": negative_share(returns, 22),
        "dd": drawdown(price, TRADING_DAYS),
    }
