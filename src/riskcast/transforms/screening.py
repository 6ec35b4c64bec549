"""Bars that cannot be true, told from those that are only imprecise. Nothing is mended here.

What vendors are known to get wrong in a way that curating can answer (an index open that repeats
the close before, a VIX close outside its range) passes; see `riskcast.transforms.market`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

PRICES = ("open", "high", "low", "close", "adj_close")
TRADED = ("adjusted", "raw+adj")
ROUNDING = 1e-6  # vendors adjust open, high, low and close one by one, each rounded
# Largest believable log return between two bars. Funds: the worst of 27 symbols since 1993 is
# 29% (USO, 2020-03-09), and the exchange halts trading at 20%. Indices: VIX rose by 77% and VIX9D
# by 115% on 2018-02-05. Spot oil settled below zero in 2020 and has no bound.
MOST = {"adjusted": 0.4, "raw+adj": 0.4, "index": 1.5, "spot": math.inf}

POSITIVE = "prices are positive numbers"
SPANNED = "high and low span the bar"
BELIEVABLE = "the move is believable"


def screen(bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split bars into (those that can be true, those that cannot), both sorted by symbol and date.

    Parameters
    ----------
    bars : DataFrame
        Rows of `raw.market` of one delivery: all on one basis per symbol, so that a jump between
        two of them is no restatement. The move of a bar is measured from the last bar before it
        that passed; the first one delivered has none.

    Returns
    -------
    passed, held : DataFrame
        `held` has two columns more: rule, the name of the rule broken first, and reason, the
        figures in words.
    """
    ordered = bars.sort("symbol", "date")
    faulty = pl.coalesce(
        pl.when(_not_positive()).then(pl.lit(POSITIVE)),
        pl.when(_not_spanned()).then(pl.lit(SPANNED)),
    )
    judged = ordered.with_columns(
        faulty.alias("rule"),
        pl.when(faulty.is_not_null()).then(_prices_in_words()).alias("reason"),
    )
    judged = _with_jumps(judged)
    held = judged.filter(pl.col("rule").is_not_null())
    return judged.filter(pl.col("rule").is_null()).select(bars.columns), held


def _not_positive() -> pl.Expr:
    spot = pl.col("price_basis") == "spot"
    wrong = (
        ~pl.col(name).is_finite() | (~spot & (pl.col(name) <= 0.0)).fill_null(value=False)
        for name in PRICES
    )
    return pl.any_horizontal(each.fill_null(value=False) for each in wrong)


def _not_spanned() -> pl.Expr:
    high, low = pl.col("high"), pl.col("low")
    traded = pl.col("price_basis").is_in(TRADED)
    above = low > pl.min_horizontal("open", "close") * (1 + ROUNDING)
    below = high < pl.max_horizontal("open", "close") * (1 - ROUNDING)
    return ((high < low) | (traded & (above | below))).fill_null(value=False)


def _prices_in_words() -> pl.Expr:
    return pl.format(
        "open={} high={} low={} close={} adj_close={}",
        *(pl.col(name).cast(pl.String).fill_null("null") for name in PRICES),
    )


def _with_jumps(judged: pl.DataFrame) -> pl.DataFrame:
    """Mark moves beyond `MOST`; only symbols that have one are gone through bar by bar."""
    passed = judged.filter(pl.col("rule").is_null())
    price = pl.col("adj_close")
    move = (price / price.shift(1).over("symbol")).log().abs()
    most = pl.col("price_basis").replace_strict(MOST, default=math.inf, return_dtype=pl.Float64)
    suspects = passed.filter((move > most).fill_null(value=False))["symbol"].unique()
    jumps = {
        (symbol, day): reason
        for symbol in suspects
        for day, reason in _jumps(passed.filter(pl.col("symbol") == symbol))
    }
    if not jumps:
        return judged
    found = pl.DataFrame(
        [(symbol, day, BELIEVABLE, reason) for (symbol, day), reason in jumps.items()],
        schema={"symbol": pl.String, "date": pl.Date, "jump": pl.String, "said": pl.String},
        orient="row",
    )
    return (
        judged.join(found, on=["symbol", "date"], how="left", maintain_order="left")
        .with_columns(pl.coalesce("rule", "jump"), pl.coalesce("reason", "said"))
        .drop("jump", "said")
    )


def _jumps(bars: pl.DataFrame) -> Iterator[tuple[object, str]]:
    """Yield date and reason of each bar too far from the last one that was not."""
    before: float | None = None
    for day, price, basis in bars.select("date", "adj_close", "price_basis").iter_rows():
        if before is not None and before > 0 and price > 0:
            move = math.log(price) - math.log(before)
            if abs(move) > MOST.get(basis, math.inf):
                yield day, f"{move:+.1%} from {before:g} to {price:g}, limit {MOST[basis]:.0%}"
                continue
        before = price
