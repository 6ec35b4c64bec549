"""The table features_daily: every column of its declaration from bars and aligned macro values."""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from riskcast.core.errors import ContractBroken, NotEnoughHistory
from riskcast.features.cross import (
    cross_columns,
    join_symbols,
    known_only,
    price,
    simulated_symbols,
)
from riskcast.features.naive import HORIZON, naive_columns
from riskcast.features.ranges import range_columns
from riskcast.features.returns import core_columns, market_columns
from riskcast.features.thresholds import threshold_columns
from riskcast.features.vix import vix_columns
from riskcast.features.windows import consistent_price, realised_volatility
from riskcast.tables import Kind, gold, silver

SOURCE = "derived"
COLUMNS = tuple(c.name for c in gold.FEATURES_DAILY.every_column if c.name != "ingested_at")
MACRO_COLUMNS = tuple(column.name for column in gold.MACRO)
DTYPES = {Kind.FLOAT: pl.Float64, Kind.INT: pl.Int64}


def build_features(market: pl.DataFrame, macro: pl.DataFrame, *, asset: str) -> pl.DataFrame:
    """Return one row of `features_daily` per session on which the asset has a bar.

    Parameters
    ----------
    market : DataFrame
        ``curated.market_daily``: all symbols, in any order.
    macro : DataFrame
        ``curated.macro_release_aligned``; may be empty.
    asset : str
        Symbol the rows are about; "spy" in a column name stands for it.

    Returns
    -------
    DataFrame
        Columns as declared without ``ingested_at``, ascending by date. ``known_at`` is that of
        the asset's bar. Unknown is null, never NaN or a fill. Regime columns are null: they need
        a fit. Rows up to t do not depend on rows after t, to the bit.

    Raises
    ------
    NotEnoughHistory
        If `market` has no bar of the asset.
    ContractBroken
        If the asset changes its price basis within its history.
    """
    bars = asset_bars(market, asset)
    basis = bars["price_basis"][0]
    returns = pl.col("ret")
    close = consistent_price(pl.col("adj_close"), returns, pl.col("price_basis"))
    vix = known_only(
        vix_columns(price("VIX"), price("VIX3M"), pl.col("VIX.high"), pl.col("VIX.low"))
    )
    frame = join_macro(join_symbols(bars, market), macro).with_columns(
        **market_columns(close, returns),
        **core_columns(close, returns),
        **range_columns(basis),
        **naive_columns(returns),
        **vix,
        **known_only(cross_columns(returns)),
        **{c.name: pl.lit(None, DTYPES[c.kind]) for c in (*gold.REGIME, *gold.CLUSTER_BOUNDS)},
        simulated=simulated_symbols(asset),
    )
    known_labels = frame.select(realised_volatility(returns, HORIZON)).to_series()
    return frame.with_columns(source=pl.lit(SOURCE), **threshold_columns(known_labels)).select(
        COLUMNS
    )


def asset_bars(market: pl.DataFrame, asset: str) -> pl.DataFrame:
    """Return the asset's bars, ascending by date; a value that is NaN is unknown, hence null.

    Raises
    ------
    NotEnoughHistory
        If there is none.
    ContractBroken
        If they have more than one price basis: estimators differ by basis, so a change within
        the history would be a step in every range column.
    """
    bars = (
        market.filter(pl.col("symbol") == asset)
        .sort("date")
        .with_columns(cs.float().fill_nan(None))
    )
    if bars.is_empty():
        have = ", ".join(market["symbol"].unique().sort()) or "no symbol at all"
        raise NotEnoughHistory(
            f"{silver.MARKET_DAILY.name} has no bar of the asset {asset!r}, it has {have}; "
            "set RISKCAST_ASSET or widen the window"
        )
    changed = bars.filter(pl.col("price_basis") != pl.col("price_basis").first())
    if not changed.is_empty():
        first = changed.row(0, named=True)
        raise ContractBroken(
            silver.MARKET_DAILY.name,
            "an asset has one price_basis",
            f"{asset} is {bars['price_basis'][0]} but {first['price_basis']} on {first['date']} "
            f"and on {changed.height} sessions in all; ingest the whole history on one basis",
        )
    return bars


def join_macro(bars: pl.DataFrame, macro: pl.DataFrame) -> pl.DataFrame:
    """Return the bars with the macro columns of their session, null where none was known yet."""
    aligned = macro.select(
        "date",
        pl.col(MACRO_COLUMNS).fill_nan(None),
        pl.col("source").alias("macro.source"),
        pl.col("known_at").alias("macro.known_at"),
    )
    known = pl.col("macro.known_at") <= pl.col("known_at")
    return bars.join(aligned, on="date", how="left", maintain_order="left").with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name in MACRO_COLUMNS
    )
