"""Raw bars to `curated.market_daily`: sessions only, one price scale, returns. No bar is invented.

What vendors deliver and cannot be trusted becomes null, by rules that look at the row alone:

* an index opens at its previous close on most days before 2010 (S&P 500: 64-98% of days), so
  index opens before 2010 are null;
* an open outside [low, high] is wrong and null (VIX, 47 days of 1992-2006, e.g. 2.58 below a low
  of 13.68 on 2004-11-08);
* a close outside [low, high] shows that the range is wrong, so high and low are null;
* an index bar with open = high = low = close before 1970 is a close only, so its range is null.

A row says what was first told of its session and stands: a restatement never edits it. Only the
returns that start from a restated bar afterwards use what was told of it by then.
"""

from __future__ import annotations

from datetime import date

import polars as pl

PRICES = ("open", "high", "low", "close")
INDEX_OPENS_FROM = date(2010, 1, 1)
INDEX_RANGES_FROM = date(1970, 1, 1)
MAX_GAP = 5  # sessions between two bars of a return
ROUNDING = 1e-9  # relative; vendors' adjusted prices are off in the last digits
COLUMNS = (
    "symbol",
    "date",
    *PRICES,
    "adj_close",
    "ret",
    "volume",
    "price_basis",
    "known_at",
    "source",
)


def curate_market(raw_market: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `curated.market_daily`, sorted by symbol and date.

    Parameters
    ----------
    raw_market : DataFrame
        Rows of `raw.market`, every vintage.
    sessions : DataFrame
        Rows of `sessions`; bars on other days are left out.

    Notes
    -----
    Prices are those of the bar's first vintage; those of basis "raw+adj" are multiplied by
    adj_close / close, so close equals adj_close there. `ret` runs from the previous bar in the
    vintage known last when the row became known, so both ends are on one adjustment basis though
    the levels of two rows need not be. It is null for a symbol's first bar, where a price is not
    positive (WTI on 2020-04-20), and where the previous bar is more than 5 sessions back. A bar
    that arrived after a later bar of its symbol is left out: the return over it was told already.
    """
    numbered = sessions.select(pl.col("session").alias("date")).unique().sort("date")
    vintages = raw_market.join(numbered.with_row_index("number"), on="date", how="inner").sort(
        "symbol", "date", "known_at"
    )
    bars = _with_returns(_first_told(vintages), vintages).with_columns(*_on_adjusted_scale())
    return _without_false_prices(bars).select(COLUMNS)


def _first_told(vintages: pl.DataFrame) -> pl.DataFrame:
    """Return the first vintage of each bar, without bars that came after a later one."""
    first = vintages.unique(["symbol", "date"], keep="first", maintain_order=True)
    return first.filter(
        pl.col("known_at") <= pl.col("known_at").cum_min(reverse=True).over("symbol")
    )


def _on_adjusted_scale() -> list[pl.Expr]:
    factor = (
        pl.when(pl.col("price_basis") == "raw+adj")
        .then(pl.col("adj_close") / pl.col("close"))
        .otherwise(1.0)
    )
    scaled = [(pl.col(name) * factor).alias(name) for name in ("open", "high", "low")]
    # Copied, not multiplied: close must equal adj_close to the last bit.
    basis = pl.col("price_basis")
    close = pl.when(basis == "raw+adj").then(pl.col("adj_close")).otherwise(pl.col("close"))
    return [*scaled, close.alias("close")]


def _without_false_prices(bars: pl.DataFrame) -> pl.DataFrame:
    is_index, day = pl.col("price_basis") == "index", pl.col("date")
    open_, high, low, close = (pl.col(name) for name in PRICES)
    flat = (open_ == high) & (high == low) & (low == close)
    no_open = (is_index & (day < INDEX_OPENS_FROM)) | _outside(open_)
    no_range = (is_index & (day < INDEX_RANGES_FROM) & flat) | _outside(close)
    # Where a comparison is null because a price is, nothing shows that the others are wrong.
    return bars.with_columns(
        pl.when(~no_open.fill_null(False)).then(open_).alias("open"),
        pl.when(~no_range.fill_null(False)).then(high).alias("high"),
        pl.when(~no_range.fill_null(False)).then(low).alias("low"),
    )


def _outside(price: pl.Expr) -> pl.Expr:
    high, low = pl.col("high"), pl.col("low")
    return (price > high + ROUNDING * high.abs()) | (price < low - ROUNDING * low.abs())


def _with_returns(bars: pl.DataFrame, vintages: pl.DataFrame) -> pl.DataFrame:
    """Add `ret`; the rows are sorted by symbol and date, which sorts each by known_at too."""
    ends = bars.with_columns(
        pl.col("date").shift(1).over("symbol").alias("from"),
        (pl.col("number").cast(pl.Int64).diff().over("symbol") <= MAX_GAP).alias("near"),
    )
    told = vintages.select(
        "symbol",
        pl.col("date").alias("from"),
        pl.col("known_at").alias("told_at"),
        pl.col("adj_close").alias("before"),
    )
    known = (pl.col("told_at") <= pl.col("known_at")).fill_null(value=True)  # null: no bar before
    latest = (
        ends.join(told, on=["symbol", "from"], how="left")
        .filter(known)
        .sort("symbol", "date", "told_at")
        .unique(["symbol", "date"], keep="last", maintain_order=True)
    )
    price, start = pl.col("adj_close"), pl.col("before")
    valid = (pl.col("near") & (price > 0) & (start > 0)).fill_null(False)
    return latest.with_columns(
        pl.when(valid).then((price / start).log()).otherwise(None).alias("ret")
    )
