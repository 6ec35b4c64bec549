"""A day, a day again, a month of days and one window over them all give the same content."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake, MemoryLake
from riskcast.lake.publish import content_hash
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.tables import TABLES
from riskcast.tables.gold import FEATURES_DAILY, REGIME_FITS
from riskcast.transforms.sessions import session_known_at, xnys_sessions

DATA = os.environ.get("RISKCAST_BENCH_DATA")
STEPS = [s for s in MARKET_DAILY.ordered() if s.writes and s.name != "forecast"]


def run(lake: Lake, settings: Settings, window: Window, source: object) -> None:
    ports = Ports(settings, lake=lake)
    ports.source = source
    for step in STEPS:
        run_step(step, window, ports)


def content(lake: Lake) -> dict[str, str]:
    written = {t for step in STEPS for t in step.writes}
    return {
        table.name: content_hash(lake.read(table, all_vintages=True), table)
        for table in TABLES.values()
        if table in written
    }


def daily(first: date, last: date) -> list[Window]:
    """A window for each session, from the known_at of the one before to its own."""
    days = xnys_sessions(first, last)["session"]
    return [Window(session_known_at(a), session_known_at(b)) for a, b in pairwise(days)]


class Backfilled:
    """A history, then some weeks day by day; and the same in other cuts."""

    def __init__(self, settings: Settings, begin: date, first: date, last: date) -> None:
        self.settings = settings
        self.source = Ports(settings).source
        self.days = daily(first, last)
        start = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
        self.before = Window(start, self.days[0].start)
        self.month = Window(self.days[0].start, self.days[-1].end)
        self.all = Window(start, self.days[-1].end)
        self.lake = self.of(self.before, *self.days)
        self.by_day = content(self.lake)

    def of(self, *windows: Window) -> MemoryLake:
        lake = MemoryLake()
        for window in windows:
            run(lake, self.settings, window, self.source)
        return lake


@pytest.fixture(scope="module")
def backfilled() -> Backfilled:
    return Backfilled(Settings(), date(2000, 1, 1), date(2004, 12, 13), date(2005, 1, 12))


def test_days_one_by_one_give_what_one_window_gives(backfilled):
    assert content(backfilled.of(backfilled.before, backfilled.month)) == backfilled.by_day


def test_days_one_by_one_give_what_one_run_over_everything_gives(backfilled):
    assert content(backfilled.of(backfilled.all)) == backfilled.by_day
    fits = backfilled.lake.read(REGIME_FITS)["fit_end"].to_list()
    assert date(2004, 12, 31) in fits, "the quarter's fit lies within the days run one by one"


def test_a_day_run_three_times_and_backfilled_gives_the_same_content_and_no_version(backfilled):
    lake = backfilled.lake
    versions = {table.name: lake.version(table) for table in TABLES.values()}
    for window in (*3 * [backfilled.days[4]], backfilled.month, backfilled.days[0]):
        run(lake, backfilled.settings, window, backfilled.source)
    assert content(lake) == backfilled.by_day
    assert {table.name: lake.version(table) for table in TABLES.values()} == versions


def test_the_comparison_sees_one_changed_bit(backfilled):
    table = REGIME_FITS
    rows = backfilled.lake.read(table)
    changed = rows.with_columns(k=rows["k"] + 1)
    assert content_hash(changed, table) != content_hash(rows, table)
    stamped = rows.with_columns(ingested_at=rows["known_at"])
    assert content_hash(stamped, table) == content_hash(rows, table)


@pytest.mark.slow
@pytest.mark.bench_data
@pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder of market data")
def test_sixteen_real_years_in_one_run_and_a_month_of_them_day_by_day_give_the_same_content():
    settings = Settings(source="files", files=str(Path(DATA or "")))
    real = Backfilled(settings, date(2007, 1, 1), date(2022, 11, 29), date(2022, 12, 30))
    assert len(real.days) == 22
    assert real.lake.read(FEATURES_DAILY)["date"].max() == date(2022, 12, 30)
    assert content(real.of(real.all)) == real.by_day
    versions = {table.name: real.lake.version(table) for table in TABLES.values()}
    for window in 3 * [real.month]:
        run(real.lake, settings, window, real.source)
    assert content(real.lake) == real.by_day
    assert {table.name: real.lake.version(table) for table in TABLES.values()} == versions
