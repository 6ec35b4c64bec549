"""Columns from other markets, on the asset's sessions.

A symbol that has no bar on a session is unknown there: nothing is filled, and every window that
contains the session is null.
"""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from riskcast.features.windows import change, consistent_price, log
from riskcast.tables import gold

SYMBOLS = tuple(sorted({s for c in gold.FEATURES_DAILY.columns for s in c.symbols}))
LOOKBACK = 66  # sessions a simulated bar marks: the longest window of a mean
SIMULATED = "simulated"


def price(symbol: str) -> pl.Expr:
    """Return the `consistent_price` of another symbol in a joined frame."""
    return pl.col(f"{symbol}.price")


def join_symbols(bars: pl.DataFrame, market: pl.DataFrame) -> pl.DataFrame:
    """Return the asset's bars with price, high, low and source of every symbol a feature uses.

    Parameters
    ----------
    bars : DataFrame
        The asset's bars, ascending; date and known_at are used.
    market : DataFrame
        ``curated.market_daily``. A symbol it lacks gives columns of nulls.

    A bar is visible at a session only if it, and every earlier bar of its symbol that is shown,
    was known when the asset's own bar was: a late bar gives nulls on the rows that could not have
    seen it, never a value. Restatements do not get this far: a bar stands as it was first told.
    """
    for symbol in SYMBOLS:
        own = market.filter(pl.col("symbol") == symbol).sort("date")
        other = own.with_columns(cs.float().fill_nan(None)).select(
            "date",
            consistent_price(pl.col("adj_close"), pl.col("ret"), pl.col("price_basis")).alias(
                f"{symbol}.price"
            ),
            pl.col("high").alias(f"{symbol}.high"),
            pl.col("low").alias(f"{symbol}.low"),
            pl.col("source").alias(f"{symbol}.source"),
            pl.col("known_at").alias(f"{symbol}.known_at"),
        )
        shown = pl.col(f"{symbol}.known_at").cum_max().forward_fill()
        bars = bars.join(other, on="date", how="left", maintain_order="left").with_columns(
            (shown <= pl.col("known_at")).alias(f"{symbol}.seen")
        )
    return bars


def correlation(x: pl.Expr, y: pl.Expr, sessions: int = 20) -> pl.Expr:
    """Return Pearson's correlation of the window, null where either side does not vary."""
    both = pl.when(x.is_not_null() & y.is_not_null())
    x, y = both.then(x), both.then(y)
    varied = (x.rolling_std(sessions) > 1e-12) & (y.rolling_std(sessions) > 1e-12)
    value = pl.rolling_corr(x, y, window_size=sessions, min_samples=sessions)
    return pl.when(varied & value.is_finite()).then(value.clip(-1.0, 1.0))


def relative_change(level: pl.Expr, sessions: int = 20) -> pl.Expr:
    """Return the change over the window's mean absolute level.

    A log return has no meaning for a price that may be negative, as WTI was on 2020-04-20.
    """
    scale = level.abs().rolling_mean(sessions)
    return pl.when(scale > 0).then(level.diff().rolling_sum(sessions) / scale)


def cross_columns(returns: pl.Expr) -> dict[str, pl.Expr]:
    """Return 20-session moves of other markets and correlations with the asset's `returns`."""
    moves = {s: change(log(price(s)), 20) for s in (*gold.SECTORS, "DXY", "GLD", "HYG", "TLT")}
    return {
        "corr_spy_tlt_20d": correlation(returns, log(price("TLT")).diff()),
        "corr_spy_hyg_20d": correlation(returns, log(price("HYG")).diff()),
        "hyg_tlt_spread": moves["HYG"] - moves["TLT"],
        **{f"{s.lower()}_ret_20d": moves[s] for s in (*gold.SECTORS, "DXY", "GLD")},
        "wti_chg_20d": relative_change(price("WTI")),
    }


def known_only(columns: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Return the columns, null on rows where a symbol they read was not yet known."""
    declared = gold.FEATURES_DAILY.column
    return {
        name: pl.when(*(pl.col(f"{s}.seen") for s in declared(name).symbols)).then(expr)
        for name, expr in columns.items()
    }


def simulated_symbols(asset: str) -> pl.Expr:
    """Return, per session, the sorted names of what is simulated among the inputs.

    Windows look back, so a symbol, the asset included, counts while any of its last `LOOKBACK`
    bars is simulated; the aligned macro row counts by itself, as "MACRO".
    """
    flags = {symbol: _recently(f"{symbol}.source") for symbol in SYMBOLS}
    flags |= {asset: _recently("source"), "MACRO": pl.col("macro.source") == SIMULATED}
    named = [pl.when(flags[name]).then(pl.lit(name)) for name in sorted(flags)]
    return pl.concat_list(named).list.drop_nulls()


def _recently(source: str) -> pl.Expr:
    now = (pl.col(source) == SIMULATED).fill_null(value=False)
    return now.cast(pl.Int8).rolling_max(LOOKBACK, min_samples=1) == 1
