"""The contract against decades of bars as vendors deliver them."""

import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from riskcast.core.errors import ContractBroken
from riskcast.lake.contract import INDEX_OPENS_SINCE, check
from riskcast.tables.silver import MARKET_DAILY

DATA = os.environ.get("RISKCAST_BENCH_DATA")
pytestmark = [
    pytest.mark.bench_data,
    pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder of market data"),
]


def test_no_real_bar_is_refused_once_early_index_opens_are_dropped():
    raw = pl.read_parquet(Path(DATA or "") / "market_daily.parquet")
    at = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + timedelta(hours=21)
    bars = raw.with_columns(date=pl.col("date").cast(pl.Date), known_at=at)
    early = (pl.col("price_basis") == "index") & (pl.col("date") < INDEX_OPENS_SINCE)
    with pytest.raises(ContractBroken, match="carry no open"):
        check(MARKET_DAILY, bars)
    curated = bars.with_columns(open=pl.when(~early).then("open"))
    assert check(MARKET_DAILY, curated).height == raw.height
