"""Frames that make a rule of the trade visible as a column with a bound."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import polars as pl

from riskcast.core.window import Window
from riskcast.lake.rows import inside

TRADED = ("adjusted", "raw+adj")
# Before 2000 real series have holes that no rerun can mend: VIX lacks four sessions of the
# nineties, the S&P 500 eighty-seven of the sixties on which the exchange was closed after all.
COMPLETE_SINCE = date(2000, 1, 1)


def market_measures(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `curated.market_daily` with beyond_high, beyond_low and move.

    The first two say by which share of the price a traded bar's open or close lies outside its
    range, at most 0 where it does not; move is the absolute log return of what is traded. Null
    for an index or a spot price: those are known to move more and to be quoted less well.
    """
    traded = pl.when(pl.col("price_basis").is_in(TRADED))
    high, low = pl.col("high"), pl.col("low")
    return rows.drop("ingested_at", strict=False).with_columns(
        traded.then(pl.max_horizontal("open", "close", "low") / high - 1).alias("beyond_high"),
        traded.then(1 - pl.min_horizontal("open", "close", "high") / low).alias("beyond_low"),
        traded.then(pl.col("ret").abs()).alias("move"),
    )


def macro_measures(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return rows of the window of `curated.macro_release_aligned` with release_age_days.

    The age of the newest release that a row uses, infinite where it uses none. Rows before the
    first release ever and before 2000 are left out: nothing was promised for them.
    """
    aged = rows.drop("ingested_at", strict=False).sort("date")
    begun = pl.col("as_of_release").is_not_null().cum_max()
    age = (pl.col("known_at") - pl.col("as_of_release")).dt.total_seconds() / 86_400
    return aged.filter(begun & (pl.col("date") >= COMPLETE_SINCE) & inside(window)).with_columns(
        age.fill_null(float("inf")).alias("release_age_days")
    )


def calendar_measures(
    market: pl.DataFrame, sessions: pl.DataFrame, required: Iterable[str], window: Window
) -> pl.DataFrame:
    """Return (symbol, date, bars): for each session of the window, how many bars a symbol has.

    Parameters
    ----------
    market, sessions : DataFrame
        Rows of `curated.market_daily` and `sessions` known by the window's end.
    required : iterable of str
        Symbols that must not be missing, each from its first bar on.
    """
    days = sessions.filter(inside(window)).select(pl.col("session").alias("date")).unique()
    begun = market.group_by("symbol").agg(pl.col("date").min().alias("begins"))
    wanted = begun.filter(pl.col("symbol").is_in(list(required)))
    bars = market.group_by("symbol", "date").len("bars")
    return (
        days.filter(pl.col("date") >= COMPLETE_SINCE)
        .join(wanted, how="cross")
        .filter(pl.col("date") >= pl.col("begins"))
        .join(bars, on=["symbol", "date"], how="left")
        .select("symbol", "date", pl.col("bars").fill_null(0).cast(pl.Int64))
        .sort("date", "symbol")
    )
