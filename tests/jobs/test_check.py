"""The line stops where silver cannot be trusted, and says where."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from riskcast.core.errors import ContractBroken
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.check import check, required_symbols
from riskcast.lake import MemoryLake
from riskcast.pipelines import MARKET_DAILY
from riskcast.products import DAILY_RISK
from riskcast.runner import Ports, run_pipeline, run_step
from riskcast.sources import SampleSource
from riskcast.tables.bronze import QUARANTINE, RAW_MARKET, SESSIONS
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.silver import MACRO_ALIGNED
from riskcast.tables.silver import MARKET_DAILY as CURATED

DATA = os.environ.get("RISKCAST_BENCH_DATA")
HISTORY = Window.parse("2004-01-01", "2005-12-30")
DECEMBER = Window(datetime(2005, 12, 1, tzinfo=UTC), HISTORY.end)
DAY = date(2005, 12, 14)
INGEST = ("ingest_sessions", "ingest_market", "ingest_macro", "curate_market", "curate_macro")


def silver(settings: Settings, window: Window) -> MemoryLake:
    lake = MemoryLake()
    ports = Ports(settings, lake=lake)
    for name in INGEST:
        run_step(MARKET_DAILY.step(name), window, ports)
    return lake


@pytest.fixture(scope="module")
def frames() -> tuple[pl.DataFrame, ...]:
    lake = silver(Settings(), HISTORY)
    return tuple(lake.read(table) for table in (CURATED, MACRO_ALIGNED, SESSIONS))


def judge(market: pl.DataFrame, macro: pl.DataFrame, sessions: pl.DataFrame) -> None:
    check(market, macro, sessions, product=DAILY_RISK, asset="GSPC", window=DECEMBER)


def at(symbol: str, day: date = DAY) -> pl.Expr:
    return (pl.col("symbol") == symbol) & (pl.col("date") == day)


def changed(market: pl.DataFrame, symbol: str, **values: object) -> pl.DataFrame:
    return market.with_columns(
        pl.when(at(symbol)).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_sound_rows_pass(frames):
    judge(*frames)


def test_what_the_pool_reads_is_required_beside_the_asset():
    assert required_symbols(DAILY_RISK, "GSPC") == {"GSPC", "VIX"}


@pytest.mark.parametrize("symbol", ["GSPC", "VIX"])
def test_a_session_without_a_bar_of_a_required_symbol_stops_the_line(frames, symbol):
    market, macro, sessions = frames
    with pytest.raises(ContractBroken, match=f"required symbol.*symbol={symbol} date={DAY}"):
        judge(market.filter(~at(symbol)), macro, sessions)


def test_a_symbol_no_model_reads_may_be_missing(frames):
    market, macro, sessions = frames
    judge(market.filter(~at("GLD")), macro, sessions)


def test_a_symbol_the_source_never_had_is_not_asked_for(frames):
    market, macro, sessions = frames
    judge(market.filter(pl.col("symbol") != "VIX"), macro, sessions)


def test_a_hole_before_the_window_does_not_stop_todays_line(frames):
    market, macro, sessions = frames
    judge(market.filter(~at("VIX", date(2005, 11, 15))), macro, sessions)


def test_a_jump_of_a_fund_stops_the_line_and_one_of_an_index_does_not(frames):
    market, macro, sessions = frames
    judge(changed(market, "VIX", ret=0.77), macro, sessions)
    with pytest.raises(ContractBroken, match=r"moves by less than 40%.*symbol=TLT date=2005-12-14"):
        judge(changed(market, "TLT", ret=-0.45), macro, sessions)


def test_a_range_that_does_not_hold_its_close_stops_the_line(frames):
    market, macro, sessions = frames
    with pytest.raises(ContractBroken, match="not above the high of a traded bar: 1 of"):
        judge(changed(market, "XLE", high=1.0, low=0.5, open=0.7), macro, sessions)


@pytest.mark.parametrize("age", [11, None])
def test_macro_releases_that_stopped_stop_the_line(frames, age):
    market, macro, sessions = frames
    late = None if age is None else pl.col("known_at") - timedelta(days=age)
    stale = macro.with_columns(
        as_of_release=pl.when(pl.col("date") >= DAY).then(late).otherwise("as_of_release")
    )
    with pytest.raises(ContractBroken, match=r"macro_release_aligned: the newest macro release"):
        judge(market, stale, sessions)


def test_every_rule_that_is_broken_is_named(frames):
    market, macro, sessions = frames
    worse = changed(market.filter(~at("VIX")), "TLT", ret=-0.45)
    with pytest.raises(ContractBroken, match=r"required symbol.*; also curated\.market_daily: a"):
        judge(worse, macro, sessions)


class Spoilt(SampleSource):
    """The sample with one bar that cannot be true."""

    def __init__(self, symbol: str, **values: float) -> None:
        super().__init__()
        self.symbol, self.values = symbol, values

    def fetch_market(self, window: Window) -> pl.DataFrame:
        return changed(super().fetch_market(window), self.symbol, **self.values)


def run_spoilt(symbol: str, **values: float) -> MemoryLake:
    lake = MemoryLake()
    ports = Ports(Settings(), lake=lake)
    ports.source = Spoilt(symbol, **values)
    for name in (*INGEST, "check", "features"):
        run_step(MARKET_DAILY.step(name), HISTORY, ports)
    return lake


def test_a_bar_that_cannot_be_true_is_kept_aside_with_its_reason():
    lake = run_spoilt("TLT", close=900.0, adj_close=900.0)
    held = lake.read(QUARANTINE).row(0, named=True)
    assert lake.read(QUARANTINE).height == 1
    assert (held["table"], held["rule"]) == ("raw.market", "the move is believable")
    assert held["reason"].endswith("limit 40%")
    assert '"date":"2005-12-14"' in held["row"]
    assert held["at"] == HISTORY.end
    for table in (RAW_MARKET, CURATED):
        assert lake.read(table).filter(at("TLT")).is_empty()
    assert lake.read(FEATURES_DAILY).filter(date=DAY)["corr_spy_tlt_20d"].to_list() == [None]


def test_a_bar_held_back_today_is_held_back_once():
    lake = run_spoilt("TLT", close=900.0, adj_close=900.0)
    ports = Ports(Settings(), lake=lake)
    ports.source = Spoilt("TLT", close=900.0, adj_close=900.0)
    before = lake.version(QUARANTINE)
    later = Window(HISTORY.end, HISTORY.end + timedelta(days=4))
    for window in (HISTORY, later):
        run_step(MARKET_DAILY.step("ingest_market"), window, ports)
    assert lake.version(QUARANTINE) == before


def test_a_required_bar_held_back_stops_the_line_before_features():
    lake = MemoryLake()
    ports = Ports(Settings(), lake=lake)
    ports.source = Spoilt("GSPC", close=-1.0)
    with pytest.raises(ContractBroken, match=r"required symbol.*symbol=GSPC date=2005-12-14"):
        run_pipeline(MARKET_DAILY, HISTORY, ports)
    assert lake.version(FEATURES_DAILY) is None
    assert lake.read(QUARANTINE)["rule"].to_list() == ["prices are positive numbers"]


def test_features_and_regimes_wait_for_the_check():
    order = [step.name for step in MARKET_DAILY.ordered()]
    assert order.index("curate_market") < order.index("check") < order.index("fit_regimes")
    assert order.index("check") < order.index("features")


@pytest.mark.bench_data
@pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder of market data")
@pytest.mark.parametrize("asset", ["SPY", "GSPC"])
def test_three_decades_of_real_rows_pass_and_no_bar_is_held_back(asset):
    settings = Settings(source="files", files=str(Path(DATA or "")), asset=asset)
    window = Window.parse("1960-01-01", "2022-12-30")
    lake = silver(settings, window)
    assert lake.read(QUARANTINE).is_empty()
    frames = tuple(lake.read(table) for table in (CURATED, MACRO_ALIGNED, SESSIONS))
    check(*frames, product=DAILY_RISK, asset=asset, window=window)
