"""Building blocks: each value depends on its own row and the rows before it, never on later ones.

All windows are trailing and full: a window that lacks a row or contains a null gives null.
"""

from __future__ import annotations

import polars as pl

VARIANCE_FLOOR = 1e-8  # daily variance of 1 bp a session: below it is noise of the tick size
TRADING_DAYS = 252
RESTATED = ("adjusted", "raw+adj")  # bases of prices that vendors restate for dividends and splits


def consistent_price(quoted: pl.Expr, returns: pl.Expr, price_basis: pl.Expr) -> pl.Expr:
    """Return a price whose changes are true over the whole history, on the scale of the first row.

    Each row of an adjusted price is on the basis that was told at its session, so the levels of
    two rows differ by the dividends and splits in between. There the returns, each of which has
    both ends on one basis, are chained. An index or a spot price is never restated for them and
    stays as quoted. Over one symbol, ascending by date; null where `quoted` is.
    """
    before = quoted.forward_fill().shift(1)
    # A return is unknown after a long gap; the levels are all there is to bridge it.
    bridged = pl.when((quoted > 0) & (before > 0)).then((quoted / before).log())
    chained = quoted.drop_nulls().first() * pl.coalesce(returns, bridged, 0.0).cum_sum().exp()
    return (
        pl.when(price_basis.is_in(RESTATED) & quoted.is_not_null()).then(chained).otherwise(quoted)
    )


def log(x: pl.Expr) -> pl.Expr:
    """Return the natural logarithm, null where `x` is not positive."""
    return pl.when(x > 0).then(x.log())


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Return the quotient, null where the denominator is not positive."""
    return pl.when(denominator > 0).then(numerator / denominator)


def log_variance(variance: pl.Expr) -> pl.Expr:
    """Return the log of a daily variance, floored at `VARIANCE_FLOOR`."""
    return variance.clip(lower_bound=VARIANCE_FLOOR).log()


def sum_squares(returns: pl.Expr, sessions: int) -> pl.Expr:
    """Return the sum of squared returns: realised variance of the window, not annualised."""
    # The running sum may end a hair below zero when a large square leaves a window of zeros.
    return (returns * returns).rolling_sum(sessions).clip(lower_bound=0.0)


def mean_square(returns: pl.Expr, sessions: int) -> pl.Expr:
    """Return the mean squared return: zero-mean daily variance of the window."""
    return sum_squares(returns, sessions) / sessions


def realised_volatility(returns: pl.Expr, sessions: int) -> pl.Expr:
    """Return sqrt of the sum of squared returns of the window that ends here."""
    return sum_squares(returns, sessions).sqrt()


def change(log_level: pl.Expr, sessions: int) -> pl.Expr:
    """Return the change over `sessions`, null unless every level in between is there."""
    return log_level.diff().rolling_sum(sessions)


def seeded_ewm(x: pl.Expr, *, alpha: float, seed: int) -> pl.Expr:
    """Return s_t = alpha x_t + (1 - alpha) s_{t-1}, started by the mean of the first `seed` values.

    Null until then. The start is fixed by the first values alone, so that later rows never change
    it. Where `x` is null the result is null and the state is kept.
    """
    count = x.is_not_null().cum_sum()
    started = pl.when(count == seed).then(x.cum_sum() / seed).when(count > seed).then(x)
    return started.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)
