"""What the tests of sources share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from riskcast.core.window import Window

ALL = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))

MARKET_CSV = """\
symbol,date,open,high,low,close,adj_close,volume,price_basis,source
SPY,2018-07-02,269.5,272.0,269.2,271.9,250.1,1000,raw+adj,vendor
SPY,2018-07-03,272.9,273.0,270.4,270.9,249.2,900,raw+adj,vendor
VIX,2018-07-03,,,,16.1,16.1,,index,exchange
"""
MACRO_CSV = """\
series_id,macro_value_date,value,release_datetime,frequency
UNRATE,2018-05-01,3.8,2018-06-01T12:30:00Z,M
UNRATE,2018-05-01,3.9,2018-07-06T08:30:00-04:00,M
DFF,2018-06-29,1.91,2018-07-02 13:00:00+00:00,D
"""


def write_csv(folder: Path, *, market: str = MARKET_CSV, macro: str = MACRO_CSV) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "market_daily.csv").write_text(market)
    (folder / "macro.csv").write_text(macro)
    return folder


def market_frame() -> pl.DataFrame:
    return pl.read_csv(MARKET_CSV.encode(), schema_overrides={"volume": pl.Float64}).with_columns(
        pl.col("date").str.to_date()
    )


def macro_frame() -> pl.DataFrame:
    frame = pl.read_csv(MACRO_CSV.encode())
    released = [datetime.fromisoformat(text).astimezone(UTC) for text in frame["release_datetime"]]
    return frame.with_columns(
        pl.col("macro_value_date").str.to_date(),
        pl.Series("release_datetime", released, dtype=pl.Datetime("us", "UTC")),
    )


def write_parquet(
    folder: Path, *, market: pl.DataFrame | None = None, macro: pl.DataFrame | None = None
) -> Path:
    folder.mkdir(exist_ok=True)
    (market_frame() if market is None else market).write_parquet(folder / "market_daily.parquet")
    (macro_frame() if macro is None else macro).write_parquet(folder / "macro.parquet")
    return folder
