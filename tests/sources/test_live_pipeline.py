"""The daily pipeline's first steps on live servers, from nothing and again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
import time_machine
from servers import KEY

from riskcast.core.errors import SourceMissing
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.sources import open_source
from riskcast.sources.live import LiveSource
from riskcast.tables import TABLES
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR, SESSIONS
from riskcast.tables.silver import MACRO_ALIGNED
from riskcast.tables.silver import MARKET_DAILY as CURATED

STEPS = (
    "ingest_sessions",
    "ingest_market",
    "ingest_macro",
    "ingest_calendar",
    "curate_market",
    "curate_macro",
)
TICK = timedelta(hours=22, minutes=5)


def tick(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + TICK


def run(source: LiveSource, window: Window) -> list:
    ports = Ports(source.settings)
    ports.source = source
    return [run_step(MARKET_DAILY.step(name), window, ports) for name in STEPS]


QUARTER = Window(tick(date(2024, 1, 2)), tick(date(2024, 3, 15)))


@pytest.mark.parametrize("market", ["stooq", "tiingo"])
def test_live_data_reach_silver_and_a_second_run_makes_no_version(live, market):
    source = live(market)
    run(source, QUARTER)
    lake = open_lake(source.settings)
    bars = lake.read(CURATED)
    assert bars.filter(symbol="SPY").height == 51
    assert bars["date"].max() == date(2024, 3, 15)
    macro = lake.read(MACRO_ALIGNED).sort("date")
    last = macro.row(-1, named=True)
    assert (last["unemp"], last["ism_pmi"]) == (3.9, 47.8)
    assert last["as_of_release"] <= last["known_at"]
    assert lake.read(RELEASE_CALENDAR)["event"].n_unique() == 5
    again = run(source, QUARTER)
    assert not any(report.changed for report in again)


def test_day_by_day_gives_what_one_run_gives(live, tmp_path):
    source = live("stooq")
    days = [date(2024, 3, 6) + timedelta(days=n) for n in range(8)]  # over the change of clocks
    whole = LiveSource(
        replace(source.settings, lake=str(tmp_path / "whole")),
        patience=source.patience,
        keys=source.keys,
    )
    for first, last in pairwise(days):
        run(source, Window(tick(first), tick(last)))
    run(whole, Window(tick(days[0]), tick(days[1])))
    run(whole, Window(tick(days[1]), tick(days[-1])))
    for table in (SESSIONS, RAW_MARKET, RAW_MACRO, RELEASE_CALENDAR, CURATED, MACRO_ALIGNED):
        one, many = (
            open_lake(s.settings).read(table, all_vintages=True).drop("ingested_at")
            for s in (whole, source)
        )
        assert one.sort(table.key).equals(many.sort(table.key)), table.name


def test_a_survey_published_late_counts_from_the_run_that_reads_it(live, world):
    source = live("stooq")
    february = world.pmi.pop("2024-02")
    run(source, Window(tick(date(2024, 1, 2)), tick(date(2024, 3, 1))))
    run(source, Window(tick(date(2024, 3, 1)), tick(date(2024, 3, 4))))
    lake = open_lake(source.settings)
    then = lake.read(RAW_MACRO)
    assert then.filter(series_id="ISM_MAN_PMI")["macro_value_date"].max() == date(2024, 1, 1)
    world.pmi["2024-02"] = february
    end = tick(date(2024, 3, 5))
    run(source, Window(tick(date(2024, 3, 4)), end))
    late = lake.read(RAW_MACRO).filter(series_id="ISM_MAN_PMI", macro_value_date=date(2024, 2, 1))
    assert late["known_at"].to_list() == [end]
    assert lake.read(RAW_MACRO, as_of=tick(date(2024, 3, 4))).equals(then)
    aligned = dict(lake.read(MACRO_ALIGNED).select("date", "ism_pmi").rows())
    assert aligned[date(2024, 3, 4)] == 49.1
    run(source, Window(end, tick(date(2024, 3, 6))))
    aligned = dict(lake.read(MACRO_ALIGNED).select("date", "ism_pmi").rows())
    assert aligned[date(2024, 3, 6)] == 47.8


def test_a_failed_ingest_leaves_every_table_as_it_was(live, world):
    source = live("stooq")
    run(source, Window(tick(date(2024, 3, 4)), tick(date(2024, 3, 5))))
    lake = open_lake(source.settings)
    before = {name: lake.version(table) for name, table in TABLES.items()}
    world.fault, world.only = "a session short", "gld"
    with pytest.raises(SourceMissing, match="GLD on 2024-03-06"):
        run(source, Window(tick(date(2024, 3, 5)), tick(date(2024, 3, 6))))
    after = {name: lake.version(table) for name, table in TABLES.items()}
    del before[SESSIONS.name], after[SESSIONS.name]  # the calendar came before the bars
    assert after == before


@pytest.mark.parametrize("market", ["stooq", "tiingo", "alphavantage"])
def test_a_session_still_open_has_no_bar(live, market):
    """The vendor already shows today's bar; its close is a price of the moment."""
    source = live(market)
    window = Window(tick(date(2024, 3, 11)), tick(date(2024, 3, 15)))
    with time_machine.travel(datetime(2024, 3, 14, 20, 14, 59, tzinfo=UTC), tick=False):
        bars = source.fetch_market(window)
    assert bars["date"].max() == date(2024, 3, 13)
    with time_machine.travel(datetime(2024, 3, 14, 20, 15, 1, tzinfo=UTC), tick=False):
        assert source.fetch_market(window)["date"].max() == date(2024, 3, 14)


def test_nothing_of_the_future_is_known_yet(live):
    source = live("stooq")
    now = datetime(2024, 3, 8, 13, 29, tzinfo=UTC)  # a minute before the employment report
    window = Window(now - timedelta(days=40), now + timedelta(days=2))
    with time_machine.travel(now, tick=False):
        macro = source.fetch_macro(window)
        assert source.newest() == "2024-03-07"
    assert macro["known_at"].max() <= now
    assert date(2024, 2, 1) not in macro.filter(series_id="UNRATE")["macro_value_date"]
    with time_machine.travel(now + timedelta(minutes=2), tick=False):
        macro = source.fetch_macro(window)
    assert date(2024, 2, 1) in macro.filter(series_id="UNRATE")["macro_value_date"]


def test_the_settings_open_a_live_source_that_asks_nobody_yet(tmp_path):
    settings = Settings(home=str(tmp_path), source="live", market="tiingo")
    assert settings.live
    source = open_source(settings)
    assert isinstance(source, LiveSource)
    assert source.newest() <= str(datetime.now(UTC).date())


def test_no_key_lies_in_what_is_kept(live, world, tmp_path):
    world.fault, world.only = "empty", "hyg"
    with pytest.raises(SourceMissing):
        live("tiingo").fetch_market(QUARTER)
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert kept
    assert all(KEY.encode() not in path.read_bytes() for path in kept)
    assert pl.read_parquet(kept[0]).height > 0
