"""What a delivery of bars adds to those stored: new bars, and restatements as new vintages.

Vendors restate the adjusted closes of the past after every dividend and split. A restatement is
knowledge of the day it was told, so it is stored beside what was told before, never over it.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

import polars as pl

from riskcast.core.window import Window

KEY = ("symbol", "date")
NUMBERS = ("open", "high", "low", "close", "adj_close", "volume")
WOBBLE = 1e-6  # relative; vendors that keep prices in single precision repeat them this well


def new_vintages(delivered: pl.DataFrame, stored: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the delivered rows that `stored` lacks, in the columns delivered.

    A bar never stored that became known in the window keeps its known_at. One that became known
    before the window is late, and one that differs from the vintage stored last is restated; both
    are known since the first new bar of their symbol, because a vendor states all bars of one
    delivery on one basis, or since the window's end where there is no new bar.

    Only a run at the head of a symbol's history learns late and restated bars: what a vendor says
    today is no news of the past window that is run again. A symbol whose history begins with this
    window has no late bars either; they wait for a backfill.

    Parameters
    ----------
    delivered : DataFrame
        Rows of `raw.market`, one per symbol and date; from before the window too, so that
        restatements of the bars that new returns start from are seen.
    stored : DataFrame
        Every vintage stored, those known after the window's end included.
    """
    last = stored.sort("known_at").unique(KEY, keep="last", maintain_order=True)
    heads = stored.group_by("symbol").agg(
        pl.col("known_at").max().alias("head"), pl.col("date").min().alias("begins")
    )
    beside = last.select(
        *KEY,
        pl.col(*NUMBERS, "price_basis").name.suffix("|stored"),
        pl.lit(value=True).alias("is_stored"),
    )
    rows = delivered.join(beside, on=KEY, how="left").join(heads, on="symbol", how="left")
    stored_before = pl.col("is_stored").fill_null(value=False)
    inside = pl.col("known_at") > window.start
    fresh = ~stored_before & inside
    late = ~stored_before & ~inside & (pl.col("date") > pl.col("begins"))
    restated = stored_before & reduce(or_, [_number_differs(n) for n in NUMBERS], _basis_differs())
    marked = rows.with_columns(
        fresh.alias("is_fresh"), (late | restated).fill_null(value=False).alias("is_told_again")
    )
    told = marked.with_columns(_told_at(window).alias("told_at"))
    known_at = pl.when("is_fresh").then("known_at").otherwise("told_at").alias("known_at")
    kept = pl.col("is_fresh") | (pl.col("is_told_again") & pl.col("told_at").is_not_null())
    return told.filter(kept).with_columns(known_at).select(delivered.columns).sort(KEY)


def _told_at(window: Window) -> pl.Expr:
    """Return since when late and restated bars are known; null where the run is not at the head."""
    first_new = pl.col("known_at").filter("is_fresh").min().over("symbol")
    end = pl.lit(window.end).cast(pl.Datetime("us", "UTC"))
    head = pl.col("head")
    return pl.when(first_new > head).then(first_new).when(end > head).then(end)


def _number_differs(name: str) -> pl.Expr:
    now, before = pl.col(name), pl.col(f"{name}|stored")
    scale = pl.max_horizontal(now.abs(), before.abs())
    moved = ((now - before).abs() > WOBBLE * scale).fill_null(value=False)
    return moved | (now.is_null() != before.is_null())


def _basis_differs() -> pl.Expr:
    return pl.col("price_basis") != pl.col("price_basis|stored")
