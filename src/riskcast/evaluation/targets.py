"""The table labels_daily: what happened next. The only file that looks ahead."""

from __future__ import annotations

import polars as pl

from riskcast.core.errors import NoSuchSession
from riskcast.features.daily import SOURCE, asset_bars
from riskcast.features.naive import HORIZON
from riskcast.features.windows import realised_volatility
from riskcast.products import Product
from riskcast.tables import bronze, gold

COLUMNS = tuple(c.name for c in gold.LABELS_DAILY.every_column if c.name != "ingested_at")


def build_labels(
    market: pl.DataFrame,
    features: pl.DataFrame,
    sessions: pl.DataFrame,
    *,
    asset: str,
    product: Product,
) -> pl.DataFrame:
    """Return one row of `labels_daily` per session whose next five bars are known.

    rv_5d(t) is sqrt of the sum of the squared log returns of t+1 to t+5, not annualised. It is
    known when the bar of t+5 is, and ``known_at`` says so. regime_5d compares it with the
    product's thresholds in the features of t: calm below the first, risk_off above the second,
    else transition; null while they are null.

    Parameters
    ----------
    market : DataFrame
        ``curated.market_daily``.
    features : DataFrame
        ``features_daily`` of the asset, for its thresholds.
    sessions : DataFrame
        Sessions of the exchange. A label spans five of them in a row: where the asset lacks a
        bar in between, the label is unknown and its row absent.

    Raises
    ------
    NotEnoughHistory
        If `market` has no bar of the asset.
    NoSuchSession
        If the asset has a bar on a day that is no session.
    """
    bars = _numbered(asset_bars(market, asset), sessions, asset)
    ahead = -HORIZON
    labels = bars.select(
        "symbol",
        "date",
        realised_volatility(pl.col("ret"), HORIZON).shift(ahead).alias("rv_5d"),
        pl.col("known_at").shift(ahead),
        (pl.col("number").shift(ahead) - pl.col("number")).alias("span"),
    ).filter(pl.col("span") == HORIZON, pl.col("rv_5d").is_not_null())
    low, high = product.thresholds
    thresholds = features.select("symbol", "date", low=pl.col(low), high=pl.col(high))
    joined = labels.join(thresholds, on=["symbol", "date"], how="left", maintain_order="left")
    return joined.with_columns(regime_5d=regime(), source=pl.lit(SOURCE)).select(COLUMNS)


def regime() -> pl.Expr:
    """Return calm, transition or risk_off from rv_5d and the thresholds known at the session."""
    rv, low, high = pl.col("rv_5d"), pl.col("low"), pl.col("high")
    named = pl.when(rv < low).then(pl.lit("calm")).when(rv > high).then(pl.lit("risk_off"))
    return pl.when(low.is_not_null() & high.is_not_null()).then(
        named.otherwise(pl.lit("transition"))
    )


def _numbered(bars: pl.DataFrame, sessions: pl.DataFrame, asset: str) -> pl.DataFrame:
    """Return the bars with the running number of their session."""
    calendar = sessions.select(pl.col("session").alias("date")).unique().sort("date")
    numbered = bars.join(
        calendar.with_row_index("number").with_columns(pl.col("number").cast(pl.Int64)),
        on="date",
        how="left",
        maintain_order="left",
    )
    stray = numbered.filter(pl.col("number").is_null())
    if not stray.is_empty():
        raise NoSuchSession(
            f"{asset} has {stray.height} bars on days that are not in {bronze.SESSIONS.name}, "
            f"first {stray['date'][0]}; ingest the sessions of the same span first"
        )
    return numbered
