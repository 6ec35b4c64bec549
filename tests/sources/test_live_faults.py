"""Every vendor against every fault: right after a retry, or a named error and nothing kept."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from time import perf_counter

import pytest
from servers import BRISK, KEY

from riskcast.core.errors import (
    SourceError,
    SourceMalformed,
    SourceMissing,
    SourceRefused,
    SourceUnreachable,
)
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR

# Friday, Monday and Tuesday around the change of clocks on 2024-03-10.
WINDOW = Window(datetime(2024, 3, 7, 22, 5, tzinfo=UTC), datetime(2024, 3, 12, 22, 5, tzinfo=UTC))
SLOWEST = BRISK.total_seconds + 6.0  # a stalled machine is no fault; dripping lasts longer

# What is asked, of whom, by which step.
ASKED = {
    "stooq": ("stooq", "ingest_market", RAW_MARKET, ""),
    "tiingo": ("tiingo", "ingest_market", RAW_MARKET, ""),
    "alphavantage": ("alphavantage", "ingest_market", RAW_MARKET, ""),
    "alfred": ("stooq", "ingest_macro", RAW_MACRO, "series_id=UNRATE"),
    "fred": ("stooq", "ingest_macro", RAW_MACRO, "series_id=DGS10"),
    "pmi": ("stooq", "ingest_macro", RAW_MACRO, "ISM/pmi"),
    "schedule": ("stooq", "ingest_calendar", RELEASE_CALENDAR, "release/dates"),
}

CURED = ("429 once", "500 twice")
FATAL = {
    "429 always": SourceUnreachable,
    "500 always": SourceUnreachable,
    "silent": SourceUnreachable,
    "dripping": SourceUnreachable,
    "shorter than announced": SourceUnreachable,
    "web page": SourceMalformed,
    "web page as data": SourceMalformed,
    "moved": SourceMalformed,
    "another schema": SourceMalformed,
    "empty": SourceMissing,
    "refused": SourceRefused,
    "broken off": SourceError,  # cut JSON, a cut CSV line, or sessions that are not there
    "a session short": SourceError,
}
# Without a count or a calendar nobody can tell that a schedule lacks a date, and DBnomics and
# release dates know neither columns of bars nor keys.
NOT_THERE = {("pmi", "refused"), ("schedule", "another schema")}


def run(live, asked: str):
    market, step, table, _ = ASKED[asked]
    source = live(market)
    ports = Ports(source.settings)
    ports.source = source
    return run_step(MARKET_DAILY.step(step), WINDOW, ports), table, open_lake(source.settings)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("fault", CURED)
def test_a_passing_fault_is_waited_out_and_nothing_is_lost(live, world, asked, fault):
    _, table, lake = run(live, asked)
    calm = lake.read(table).drop("ingested_at")
    assert calm.height > 0
    world.fault, world.only = fault, ASKED[asked][3]
    version = lake.version(table)
    _, _, lake = run(live, asked)
    assert world.failed
    assert lake.read(table).drop("ingested_at").equals(calm)
    assert lake.version(table) == version


@pytest.mark.parametrize(
    ("asked", "fault"), [(a, f) for a in ASKED for f in FATAL if (a, f) not in NOT_THERE]
)
def test_a_lasting_fault_is_a_named_error_and_nothing_is_written(live, world, asked, fault, caplog):
    caplog.set_level(logging.DEBUG)
    world.fault, world.only = fault, ASKED[asked][3]
    began = perf_counter()
    with pytest.raises(FATAL[fault]) as caught:
        run(live, asked)
    assert perf_counter() - began < SLOWEST
    market, _, table, _ = ASKED[asked]
    assert open_lake(live(market).settings).version(table) is None
    said = str(caught.value)
    assert KEY not in said + repr(caught.value.__cause__) + caplog.text
    assert len(said) > 30  # says who, what and how to go on


@pytest.mark.parametrize("asked", ["stooq", "tiingo", "alphavantage"])
def test_a_missing_session_is_named_with_its_symbol(live, world, asked):
    world.fault, world.only = "a session short", "tlt" if asked != "alphavantage" else "TLT"
    with pytest.raises(SourceMissing, match=r"no bar of TLT on 2024-03-12\."):
        run(live, asked)


@pytest.mark.parametrize("asked", ["stooq", "tiingo", "alphavantage"])
def test_only_what_is_missing_is_asked_again(live, world, asked):
    name = "tlt" if asked != "alphavantage" else "TLT"
    world.fault, world.only = "empty", name
    with pytest.raises(SourceMissing, match="no bar of TLT on 2024-02-2"):
        run(live, asked)
    world.fault = ""
    world.asked.clear()
    _, table, lake = run(live, asked)
    assert len(world.asked) == 1
    assert name in world.asked[0]
    assert lake.read(table).filter(symbol="TLT").height == 3


def test_a_later_series_that_fails_keeps_the_earlier_ones(live, world):
    world.fault, world.only = "500 always", "series_id=DGS10"
    with pytest.raises(SourceUnreachable, match="answered 500"):
        run(live, "fred")
    world.fault = ""
    world.asked.clear()
    _, table, lake = run(live, "fred")
    again = [target for target in world.asked if "/fred/" in target]
    assert {t.split("series_id=")[1].split("&")[0] for t in again} == {"DGS10", "BAMLH0A0HYM2"}
    assert lake.read(table)["series_id"].n_unique() == 7  # the PMI has no release inside


def test_what_was_kept_is_forgotten_once_the_fetch_is_complete(live, world, tmp_path):
    run(live, "fred")
    assert not list((tmp_path / "home" / "cache" / "sources").glob("*/*"))


@pytest.mark.parametrize(("market", "asked"), [("tiingo", "tiingo"), ("alphavantage",) * 2])
def test_a_missing_key_says_where_to_put_it(live, market, asked, tmp_path):
    source = live(market, keys={})
    with pytest.raises(SourceRefused) as caught:
        source.fetch_market(WINDOW)
    said = str(caught.value)
    assert f"{market}.key" in said
    assert f"{market.upper()}_API_KEY" in said
    assert "https://" in said


def test_fred_s_missing_key_says_where_to_put_it(live, world):
    with pytest.raises(SourceRefused, match=r"fred\.key \(mode 0600\) or set FRED_API_KEY"):
        live(keys={}).fetch_macro(WINDOW)
    assert not world.asked


def test_a_key_comes_from_a_private_file_only(live, world):
    source = live(keys={})
    folder = source.settings.keys_path
    folder.mkdir(parents=True)
    path = folder / "fred.key"
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    with pytest.raises(SourceRefused, match="chmod 600"):
        source.fetch_calendar(WINDOW)
    path.chmod(0o600)
    assert source.fetch_calendar(WINDOW).height > 0


def test_a_key_that_cannot_be_one_is_refused_unsent_and_unsaid(live, world):
    bad = "top secret\r\nX-Other: 1"
    with pytest.raises(SourceRefused) as caught:
        live("tiingo", keys={"TIINGO_API_KEY": bad}).fetch_market(WINDOW)
    assert "secret" not in str(caught.value)
    assert not world.asked


def test_a_plan_without_adjusted_bars_is_refused_and_a_spent_one_waited_for(live, world):
    world.fault = "premium"
    with pytest.raises(SourceRefused, match="plan"):
        live("alphavantage").fetch_market(WINDOW)
    world.fault = "rate"
    with pytest.raises(SourceUnreachable, match="limits the rate") as caught:
        live("alphavantage").fetch_market(WINDOW)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("market", ["stooq", "tiingo", "alphavantage"])
def test_vendors_agree_on_the_sessions_of_spy(live, market):
    bars = live(market).fetch_market(WINDOW).filter(symbol="SPY")
    assert bars["date"].to_list() == [date(2024, 3, 8), date(2024, 3, 11), date(2024, 3, 12)]
    basis, scale = ("adjusted", 1.0) if market == "stooq" else ("raw+adj", 0.9)
    assert bars["price_basis"].unique().to_list() == [basis]
    assert bars["adj_close"].to_list() == pytest.approx((bars["close"] * scale).to_list())
    # 16:15 New York, an hour earlier in UTC once the clocks have changed.
    assert [at.hour for at in bars["known_at"]] == [21, 20, 20]


def test_a_holiday_of_another_market_is_no_gap(live, world):
    """Columbus Day: stocks trade, the dollar index may not."""
    world.fault, world.only = "empty", "usd_i"
    day = Window(datetime(2023, 10, 9, 0, tzinfo=UTC), datetime(2023, 10, 10, 0, tzinfo=UTC))
    bars = live("stooq").fetch_market(day)
    assert "DXY" not in bars["symbol"]
    assert bars.filter(symbol="SPY").height == 1


def test_a_window_without_a_session_asks_nobody(live, world):
    weekend = Window(datetime(2024, 3, 9, tzinfo=UTC), datetime(2024, 3, 11, tzinfo=UTC))
    assert live("stooq").fetch_market(weekend).is_empty()
    assert not world.asked


def test_a_calm_vendor_delivers_every_instrument_it_offers(live):
    bars = live("stooq").fetch_market(WINDOW)
    assert bars.group_by("symbol").len()["len"].unique().to_list() == [3]
    assert bars["symbol"].n_unique() == len(live("stooq")._market.tickers)
