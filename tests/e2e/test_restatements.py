"""Dividends restate the past; what was published of it stands, and returns stay true."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from restating_vendor import BASIS, DIVIDENDS, FIRST, SESSIONS, RestatingVendor

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake, MemoryLake
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.tables import Table
from riskcast.tables.bronze import RAW_MARKET
from riskcast.tables.bronze import SESSIONS as SESSION_TABLE
from riskcast.tables.gold import FEATURES_DAILY, LABELS_DAILY
from riskcast.tables.silver import MACRO_ALIGNED
from riskcast.tables.silver import MARKET_DAILY as CURATED
from riskcast.transforms.sessions import session_known_at

INGEST = ("ingest_sessions", "ingest_market")
BUILD = ("curate_market", "curate_macro", "fit_regimes", "features", "labels")
TABLES = (CURATED, FEATURES_DAILY, LABELS_DAILY)
START = datetime(2018, 1, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
ALL = Window(START, session_known_at(SESSIONS[-1]) + HALF_HOUR)
EX_DATES = sorted({day for paid in DIVIDENDS.values() for day in paid})


def run(lake: Lake, steps: tuple[str, ...], window: Window, vendor: RestatingVendor) -> None:
    ports = Ports(Settings(source="files", files="unused"), lake=lake)
    ports.source = vendor
    for name in steps:
        run_step(MARKET_DAILY.step(name), window, ports)


def days() -> list[Window]:
    """One window a session, each ending half an hour after its bar is known."""
    ends = [START, *(session_known_at(day) + HALF_HOUR for day in SESSIONS)]
    return [Window(a, b) for a, b in pairwise(ends)]


def day_by_day(vendor: RestatingVendor, build: tuple[str, ...] = BUILD) -> MemoryLake:
    lake = MemoryLake()
    for window in days():
        run(lake, (*INGEST, *build), window, vendor)
    return lake


@pytest.fixture(scope="module")
def vendor() -> RestatingVendor:
    return RestatingVendor()


@pytest.fixture(scope="module")
def live(vendor) -> MemoryLake:
    return day_by_day(vendor)


def rebuilt(lake: Lake, raw: pl.DataFrame | None = None) -> MemoryLake:
    """The same bronze in one window, curated and built at once."""
    again = MemoryLake()
    again.write(SESSION_TABLE, lake.read(SESSION_TABLE), ALL)
    raw = lake.read(RAW_MARKET, all_vintages=True) if raw is None else raw
    again.write(RAW_MARKET, raw, Window(START, datetime(2100, 1, 1, tzinfo=UTC)))
    run(again, BUILD, ALL, RestatingVendor())
    return again


def rows(lake: Lake, table: Table, as_of: datetime | None = None) -> pl.DataFrame:
    return lake.read(table, as_of=as_of).drop("ingested_at")


def test_each_ex_date_is_a_vintage_of_the_bars_before_it(live):
    raw = live.read(RAW_MARKET, all_vintages=True)
    for symbol, paid in DIVIDENDS.items():
        told = raw.filter(symbol=symbol).group_by("known_at").len().filter(pl.col("len") > 1)
        # Known with the ex-date's own bar, not before and not after.
        assert set(told["known_at"]) == {session_known_at(day) for day in paid}


def test_returns_are_those_of_the_shareholder_over_every_ex_date(live, vendor):
    for symbol in BASIS:
        ret = rows(live, CURATED).filter(symbol=symbol)["ret"].to_list()
        assert ret[0] is None
        assert ret[1:] == pytest.approx(vendor.total_return(symbol), abs=1e-12)


def test_days_one_by_one_and_one_window_over_the_same_bronze_are_the_same_to_the_bit(live):
    once = rebuilt(live)
    for table in TABLES:
        assert_frame_equal(rows(once, table), rows(live, table), check_exact=True)


def test_a_backfill_that_asks_the_vendor_today_gives_the_same_returns_and_features(live, vendor):
    backfilled = MemoryLake()
    run(backfilled, (*INGEST, *BUILD), ALL, vendor)
    for table, left_out in (
        (CURATED, ["open", "high", "low", "close", "adj_close"]),
        (FEATURES_DAILY, []),
        (LABELS_DAILY, []),
    ):
        then, now = rows(live, table).drop(left_out), rows(backfilled, table).drop(left_out)
        assert_frame_equal(then, now, rel_tol=1e-9, abs_tol=1e-11)


def test_running_every_day_again_makes_no_new_version(live, vendor):
    before = {t.name: live.version(t) for t in (RAW_MARKET, *TABLES)}
    for window in days()[45:60]:
        run(live, (*INGEST, *BUILD), window, vendor)
    assert {t.name: live.version(t) for t in (RAW_MARKET, *TABLES)} == before


def check_untouched(live: Lake, changed: Lake, known_by: datetime) -> None:
    """Assert that no row known by then differs."""
    for table in TABLES:
        then, now = rows(live, table, known_by), rows(changed, table, known_by)
        assert then.height > 0 or table is LABELS_DAILY
        assert then.equals(now), f"past rows of {table.name} changed"


def restated_later(live: Lake, cut: datetime) -> pl.DataFrame:
    """Every vintage known by then, and all of them once more, halved, told a second later."""
    known = live.read(RAW_MARKET, as_of=cut, all_vintages=True)
    halved = live.read(RAW_MARKET, as_of=cut).with_columns(
        pl.col("open", "high", "low", "close", "adj_close") * 0.5,
        known_at=pl.lit(cut + timedelta(seconds=1)).cast(known.schema["known_at"]),
    )
    return pl.concat([known, halved])


@pytest.mark.parametrize("session", [SESSIONS[7], *EX_DATES, SESSIONS[-2]])
def test_a_later_restatement_changes_no_past_row_of_any_table(live, session):
    cut = session_known_at(session)
    changed = rebuilt(live, restated_later(live, cut))
    check_untouched(live, changed, cut)


def test_the_check_catches_a_path_that_reads_the_vintage_told_last(live):
    cut = session_known_at(SESSIONS[60])
    raw = restated_later(live, cut)
    first = raw.sort("known_at").unique(["symbol", "date"], keep="first")
    last = raw.sort("known_at").unique(["symbol", "date"], keep="last").drop("known_at")
    leaking = last.join(first.select("symbol", "date", "known_at"), on=["symbol", "date"])
    changed = rebuilt(live, leaking.select(raw.columns))
    with pytest.raises(AssertionError, match=r"past rows of curated.market_daily"):
        check_untouched(live, changed, cut)


def test_the_return_into_an_ex_date_would_be_wrong_without_the_restated_start(live, vendor):
    """What goes wrong without vintages: the check on returns above can fail."""
    raw = live.read(RAW_MARKET, all_vintages=True)
    first = raw.sort("known_at").unique(["symbol", "date"], keep="first")
    naive = rows(rebuilt(live, first), CURATED).filter(symbol="TLT")
    wrong = naive.filter(pl.col("date").is_in(list(DIVIDENDS["TLT"])))["ret"].to_list()
    truth = dict(zip(SESSIONS[1:], vendor.total_return("TLT"), strict=True))
    gaps = [r - truth[d] for r, d in zip(wrong, DIVIDENDS["TLT"], strict=True)]
    assert gaps[0] == pytest.approx(-0.01005, abs=1e-4)
    assert gaps[2] == pytest.approx(-0.6931, abs=1e-4)


def test_a_price_corrected_the_day_after_stands_in_its_session_and_not_in_the_next():
    day, after = date(2018, 4, 10), date(2018, 4, 11)
    vendor = RestatingVendor(wrong={("SPY", day): 120.0})
    lake = day_by_day(vendor, ("curate_market",))
    bars = rows(lake, CURATED).filter(symbol="SPY")
    ret = dict(zip(bars["date"], bars["ret"], strict=True))
    truth = dict(zip(SESSIONS[1:], vendor.total_return("SPY"), strict=True))
    assert abs(ret[day] - truth[day]) > 0.1
    assert ret[after] == pytest.approx(truth[after], abs=1e-12)
    assert FIRST in bars["date"]


def test_macro_rows_are_there_though_no_release_is(live):
    assert rows(live, MACRO_ALIGNED).height == len(SESSIONS)
