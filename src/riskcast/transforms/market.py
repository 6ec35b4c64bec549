"""Raw bars to `curated.market_daily`: sessions only, one price scale, returns. No bar is invented.

What vendors deliver and cannot be trusted becomes null, by rules that look at the row alone:

* an index opens at its previous close on most days before 2010 (S&P 500: 64-98% of days), so
  index opens before 2010 are null;
* an open outside [low, high] is wrong and null (VIX, 47 days of 1992-2006, e.g. 2.58 below a low
  of 13.68 on 2004-11-08);
* a close outside [low, high] shows that the range is wrong, so high and low are null;
* an index bar with open = high = low = close before 1970 is a close only, so its range is null.
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
        Rows of `raw.market`, the latest vintage of each (symbol, date).
    sessions : DataFrame
        Rows of `sessions`; bars on other days are left out.

    Notes
    -----
    Prices of basis "raw+adj" are multiplied by adj_close / close, so close equals adj_close
    there. `ret` is null for a symbol's first bar, where a price is not positive (WTI on
    2020-04-20), and where the previous bar is more than 5 sessions back. A row is known once its
    own bar and the previous bar that its return uses are.
    """
    numbered = sessions.select(pl.col("session").alias("date")).unique().sort("date")
    bars = (
        raw_market.join(numbered.with_row_index("number"), on="date", how="inner")
        .sort("symbol", "date")
        .with_columns(*_on_adjusted_scale())
    )
    return _with_returns(_without_false_prices(bars)).select(COLUMNS)


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


def _with_returns(bars: pl.DataFrame) -> pl.DataFrame:
    """Add `ret`; the rows are sorted by symbol and date."""
    price = pl.col("adj_close")
    number = pl.col("number").cast(pl.Int64)
    before = price.shift(1).over("symbol")
    near = (number - number.shift(1).over("symbol")) <= MAX_GAP
    valid = (near & (price > 0) & (before > 0)).fill_null(False)
    return bars.with_columns(
        pl.when(valid).then((price / before).log()).otherwise(None).alias("ret"),
        # A restated previous bar moves this row's return to the restatement's instant.
        pl.when(valid)
        .then(pl.max_horizontal("known_at", pl.col("known_at").shift(1).over("symbol")))
        .otherwise(pl.col("known_at"))
        .alias("known_at"),
    )
