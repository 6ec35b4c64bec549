"""Real data of the size an installation has: needs RISKCAST_BENCH_DATA."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from source_rows import ALL

from riskcast.sources import FilesSource
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

FOLDER = os.environ.get("RISKCAST_BENCH_DATA")
pytestmark = [
    pytest.mark.bench_data,
    pytest.mark.skipif(not FOLDER, reason="RISKCAST_BENCH_DATA names no folder of real data"),
]
ROWS = {"SPY": 7536, "SPY_TV": 7536, "GSPC": 23865, "VIX": 8311, "VIX3M": 4145, "WTI": 9293}
SESSIONS = xnys_sessions(date(1990, 1, 1), date(2022, 12, 30))


@pytest.fixture(scope="module")
def source() -> FilesSource:
    return FilesSource(Path(FOLDER or ""), "SPY")


@pytest.fixture(scope="module")
def macro(source) -> pl.DataFrame:
    return source.fetch_macro(ALL)


@pytest.fixture(scope="module")
def aligned(macro) -> pl.DataFrame:
    return align_macro(macro, SESSIONS)


def test_the_folder_loads_as_it_lies(source, macro):
    counts = dict(source.fetch_market(ALL).group_by("symbol").len().iter_rows())
    assert len(counts) == 27
    assert {symbol: counts[symbol] for symbol in ROWS} == ROWS
    assert macro.height == 95555
    assert macro.filter(series_id="UNRATE").height == 2110
    assert source.newest() == "2022-12-30"


def test_curated_bars_lie_on_sessions_with_plausible_returns(source):
    bars = curate_market(source.fetch_market(ALL), SESSIONS)
    assert bars.select("symbol", "date").is_unique().all()
    assert bars.join(SESSIONS, left_on="date", right_on="session", how="anti").is_empty()
    spy = bars.filter(symbol="SPY").sort("date")
    assert spy["date"].to_list() == SESSIONS.filter(
        pl.col("session") >= date(1993, 1, 29)
    )["session"].to_list()  # fmt: skip
    assert spy["ret"].null_count() == 1
    assert bars["ret"].abs().max() < 1.5
    twin = bars.filter(symbol="SPY_TV")
    assert (twin["close"] == twin["adj_close"]).all()
    vix = bars.filter(symbol="VIX")
    assert vix["high"].null_count() == 0
    assert vix.filter(pl.col("date") >= date(2010, 1, 1))["open"].null_count() == 0
    wti = bars.filter(symbol="WTI", date=date(2020, 4, 20))
    assert wti["ret"].to_list() == [None]


def test_no_aligned_value_is_used_before_its_release(aligned):
    assert aligned.height == SESSIONS.height
    assert aligned.null_count().sum_horizontal().item() == 0
    early = aligned.filter(pl.col("as_of_release") > pl.col("known_at"))
    assert early.is_empty()


def known_before(macro: pl.DataFrame, series: str, day: date) -> dict[date, float]:
    """Newest vintage per month of what New York had read on an earlier day, the plain way."""
    released_on = pl.col("release_datetime").dt.convert_time_zone("America/New_York").dt.date()
    rows = macro.filter(pl.col("series_id") == series, released_on < day)
    values = rows.sort("release_datetime").select("macro_value_date", "value")
    return dict(values.iter_rows())


def test_monthly_values_are_those_a_plain_look_up_finds(macro, aligned):
    for row in aligned.gather_every(97).iter_rows(named=True):
        jobless = known_before(macro, "UNRATE", row["date"])
        prices = known_before(macro, "CPIAUCSL", row["date"])
        newest = max(prices)
        before = prices[newest.replace(year=newest.year - 1)]
        assert row["unemp"] == jobless[max(jobless)]
        assert row["cpi_yoy"] == pytest.approx(100 * (prices[newest] / before - 1))
        window = pl.Series([jobless[month] for month in sorted(jobless)[-120:]])
        z = (window[-1] - window.mean()) / window.std()
        assert row["unemp_rate_z"] == pytest.approx(z)
