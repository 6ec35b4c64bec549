"""Whatever is told later, every table of bronze, silver and gold says the same of the past.

Two worlds share their past up to a cut. In the second one time goes on: there are later sessions,
a vendor that restates bars and macro values of before the cut, bars and values that arrive late, a
release that is moved, and the past windows are run again with all of that at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake, MemoryLake
from riskcast.pipelines import MARKET_DAILY, PIPELINES
from riskcast.runner import Ports, run_step
from riskcast.sources import Source
from riskcast.sources.base import known_in
from riskcast.sources.schedule import fomc_decisions
from riskcast.tables import TABLES, Layer, Table
from riskcast.tables.bronze import QUARANTINE, RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR
from riskcast.tables.gold import LABELS_DAILY

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
CUT = datetime(2005, 2, 10, 22, 5, tzinfo=UTC)
END = datetime(2005, 5, 2, 22, 5, tzinfo=UTC)
PAST, FUTURE = Window(BEGIN, CUT), Window(CUT, END)
INGEST = tuple(s for s in MARKET_DAILY.ordered() if s.name.startswith("ingest_"))
BUILD = tuple(
    step
    for step in MARKET_DAILY.ordered()
    if step.writes and step not in INGEST and step.name != "forecast"
)
STORED = tuple(t for t in TABLES.values() if t.layer is not Layer.OUTPUT)
BOOKKEEPING = ("ingested_at", "source")


class Vendor:
    """The sample, told in two ways: as before the cut, and as after it.

    Before: some of the newest bars and values have not arrived. After: they arrive, and what was
    told of the past is told otherwise. A few prices are impossible either way.
    """

    name = "vendor"
    look_back = timedelta(days=45)

    def __init__(self, source: Source) -> None:
        self.source, self.later = source, False

    def fetch_market(self, window: Window) -> pl.DataFrame:
        rows = self.source.fetch_market(window).with_columns(n=pl.col("date").dt.ordinal_day())
        impossible = (pl.col("symbol") == "WTI") & (pl.col("n") % 50 == 3)
        rows = rows.with_columns(
            pl.when(impossible).then(float("inf")).otherwise("close").alias("close")
        )
        past, newest = pl.col("known_at") <= CUT, pl.col("known_at") > CUT - timedelta(days=8)
        if not self.later:
            return rows.filter(~((pl.col("n") % 3 == 0) & newest & _is_other)).drop("n")
        restated = pl.when(past & (pl.col("n") % 2 == 0)).then(0.97).otherwise(1.0)
        prices = pl.col("open", "high", "low", "close", "adj_close")
        return rows.with_columns(prices * restated).drop("n")

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        rows = self.source.fetch_macro(window)
        newest = pl.col("release_datetime").is_between(CUT - timedelta(days=40), CUT)
        late = newest & (pl.col("macro_value_date").dt.ordinal_day() % 2 == 0)
        if not self.later:
            return rows.filter(~late)
        revised = pl.when(newest).then(pl.col("value") + 0.3).otherwise("value").alias("value")
        return rows.with_columns(revised)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        moved = pl.when(pl.col("known_at") > CUT - timedelta(days=45)).then(timedelta(days=1))
        rows = fomc_decisions()
        if self.later:
            shift = moved.otherwise(timedelta(0))
            rows = rows.with_columns(pl.col("release_datetime") + shift)
        return known_in(rows, window)

    def newest(self) -> str:
        return self.source.newest()


_is_other = ~pl.col("symbol").is_in(["GSPC", "VIX"])


@dataclass(frozen=True)
class Worlds:
    """What the lake holds at the cut; later; and later, the past window built again."""

    at_cut: Lake
    later: Lake
    again: Lake


def run(lake: Lake, steps: tuple, window: Window, vendor: Vendor) -> None:
    ports = Ports(Settings(), lake=lake)
    ports.source = vendor
    for step in steps:
        run_step(step, window, ports)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    lakes = [MemoryLake() for _ in range(3)]
    for lake in lakes:
        vendor = Vendor(Ports(Settings()).source)
        run(lake, INGEST, PAST, vendor)
        if lake is lakes[0]:
            run(lake, BUILD, PAST, vendor)
            continue
        vendor.later = True
        run(lake, INGEST, FUTURE, vendor)
        run(lake, INGEST, PAST, vendor)
        run(lake, BUILD, PAST if lake is lakes[2] else Window(BEGIN, END), vendor)
    return Worlds(*lakes)


def past(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("known_at") <= CUT).drop(BOOKKEEPING)


def changed(one: Lake, other: Lake, table: Table, leak: Callable = lambda rows, _: rows) -> int:
    """Return how many rows known by the cut differ, are gone or are added."""
    before = past(leak(one.read(table, all_vintages=True), table))
    after = past(leak(other.read(table, all_vintages=True), table))
    lines = [frame.select(pl.struct(pl.all()).hash(0)).to_series() for frame in (before, after)]
    return len(set(lines[0]) ^ set(lines[1])) + abs(before.height - after.height)


def test_every_table_that_a_pipeline_fills_is_checked():
    written = {t for p in PIPELINES.values() for step in p.steps for t in step.writes}
    checked = {table for step in (*INGEST, *BUILD) for table in step.writes}
    assert checked == set(STORED) == {t for t in written if t.layer is not Layer.OUTPUT}


@pytest.mark.parametrize("table", STORED, ids=lambda t: t.name)
def test_nothing_told_later_changes_a_past_row(worlds, table, record_property):
    rows = past(worlds.at_cut.read(table, all_vintages=True)).height
    assert rows > 0
    assert changed(worlds.at_cut, worlds.later, table) == 0
    record_property("past rows compared", rows)


@pytest.mark.parametrize("table", STORED, ids=lambda t: t.name)
def test_a_past_window_run_again_later_gives_the_rows_it_gave(worlds, table):
    assert changed(worlds.at_cut, worlds.again, table) == 0


@pytest.mark.parametrize("table", STORED, ids=lambda t: t.name)
def test_more_is_known_later(worlds, table):
    now, later = (w.read(table, all_vintages=True).height for w in (worlds.at_cut, worlds.later))
    assert later > now


def test_the_later_world_restates_and_is_late(worlds):
    """Else the tests above would say little."""
    key = ["symbol", "date"]
    bars = worlds.later.read(RAW_MARKET, all_vintages=True)
    stood = worlds.at_cut.read(RAW_MARKET, all_vintages=True)
    told = bars.filter(pl.col("known_at") > CUT)
    about_the_past = told.filter(pl.col("date") <= CUT.date())
    restated = about_the_past.join(stood, on=key, how="semi")
    late = about_the_past.join(stood, on=key, how="anti")
    assert restated.height > 20
    assert late.height > 5
    values = worlds.later.read(RAW_MACRO).filter(pl.col("known_at") > CUT)
    assert values.filter(pl.col("macro_value_date") < CUT.date() - timedelta(days=20)).height > 5
    moved = worlds.later.read(RELEASE_CALENDAR).filter(pl.col("known_at") > CUT)
    assert moved.filter(pl.col("release_datetime") < CUT + timedelta(days=31)).height > 0
    assert worlds.at_cut.read(QUARANTINE).height > 10


# Planted leaks: each must be seen in every table.


def next_rows_values(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Planted: each row carries the values of the row that becomes known after it."""
    values = [table.time, *(c.name for c in table.columns if c.name not in table.key)]
    return rows.sort("known_at", *table.key).with_columns(pl.col(values).shift(-1))


def mean_of_all(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Planted: each row carries how many rows there are in the whole sample."""
    return rows.with_columns(sample=pl.len())


def dated_back(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Planted: what is known later is dated back by three months."""
    return rows.with_columns(pl.col("known_at") - timedelta(days=90))


@pytest.mark.parametrize("leak", [next_rows_values, mean_of_all, dated_back])
@pytest.mark.parametrize("table", STORED, ids=lambda t: t.name)
def test_a_planted_leak_is_caught_in_every_table(worlds, table, leak):
    assert changed(worlds.at_cut, worlds.later, table, leak) > 0


def test_labels_that_claim_to_be_known_at_their_session_are_caught(worlds):
    def at_session(rows: pl.DataFrame, _: Table) -> pl.DataFrame:
        return rows.with_columns(known_at=pl.col("date").cast(pl.Datetime("us", "UTC")))

    assert changed(worlds.at_cut, worlds.later, LABELS_DAILY, at_session) >= 5
