"""A month by the clock of the schedule, with all that goes wrong in one (RELIABILITY 14, 19, 24).

31 October to 7 December 2018, 26 sessions: summer time ends on 4 November, Thanksgiving is closed
and the day after ends early, 5 December is closed by proclamation, consumer prices come out on
20 November. Planted: six sessions in which the market moves three times as much, a vendor that does
not answer once, and a file of bars that comes a day late.
"""

from __future__ import annotations

import mailbox
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from tests.e2e.late_vendor import LateVendor
from tests.e2e.simulated_scheduler import FAILED, LEFT_OUT, Run, Scheduler
from tests.standalone.ports import free_ports

from riskcast.core.settings import Settings, read_settings
from riskcast.core.window import Window
from riskcast.lake import Lake, MemoryLake, open_lake
from riskcast.lake.publish import content_hash
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY
from riskcast.runner import Ports, run_pipeline, run_step
from riskcast.sources.sample import SampleSource
from riskcast.sources.shifted import ShiftedSource
from riskcast.tables import Table
from riskcast.tables.bronze import QUARANTINE, RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR, SESSIONS
from riskcast.tables.gold import FEATURES_DAILY, LABELS_DAILY, REGIME_FITS
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, HEALTH, NOTICES, PREDICTIONS_DAILY
from riskcast.tables.silver import MACRO_ALIGNED
from riskcast.tables.silver import MARKET_DAILY as CURATED
from riskcast.transforms.sessions import session_known_at

pytestmark = pytest.mark.slow

BEGINNING = datetime(1960, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(2018, 10, 31, 12, tzinfo=UTC), datetime(2018, 12, 8, tzinfo=UTC)
CLOSED = {date(2018, 11, 22), date(2018, 12, 5)}
WILD, CALM, FACTOR = date(2018, 11, 5), date(2018, 11, 13), 3.0
FOUND, OVER = date(2018, 11, 14), date(2018, 11, 19)  # of the drift, once k of n agree
REFUSED = date(2018, 11, 20)  # the vendor does not answer that evening's first request
LATE, ARRIVES = date(2018, 11, 28), datetime(2018, 11, 29, 14, tzinfo=UTC)
NEXT = date(2018, 11, 29)
SATURDAYS = [date(2018, 11, 3) + timedelta(weeks=n) for n in range(5)]
# By the sample's rules; half past eight in New York is 12:30 before the clocks change, then 13:30.
RELEASES = [
    datetime(2018, 11, 1, 14, 0, tzinfo=UTC),  # ISM PMI, 10:00 New York
    datetime(2018, 11, 2, 12, 30, tzinfo=UTC),  # employment
    datetime(2018, 11, 8, 19, 0, tzinfo=UTC),  # the Federal Reserve's decision, 14:00 New York
    datetime(2018, 11, 20, 13, 30, tzinfo=UTC),  # consumer prices
    datetime(2018, 12, 3, 15, 0, tzinfo=UTC),
    datetime(2018, 12, 7, 13, 30, tzinfo=UTC),
]
# Rows of bars become known with their file; the exchange's calendar and the macro values do not.
FROM_BARS = (RAW_MARKET, CURATED, FEATURES_DAILY, LABELS_DAILY)
FROM_ELSEWHERE = (QUARANTINE, RAW_MACRO, RELEASE_CALENDAR, SESSIONS, MACRO_ALIGNED, REGIME_FITS)


def weekdays() -> list[date]:
    days = [date(2018, 10, 31) + timedelta(days=n) for n in range(38)]
    return [day for day in days if day.weekday() < 5 and day not in CLOSED]


def vendor() -> LateVendor:
    wild = ShiftedSource(SampleSource(), "GSPC", WILD, FACTOR)
    episode = ShiftedSource(wild, "GSPC", CALM, 1 / FACTOR)
    return LateVendor(episode, late={LATE: ARRIVES}, refuses={REFUSED: 1})


@dataclass
class Month:
    settings: Settings
    lake: Lake
    runs: list[Run]
    subjects: list[str]

    def of(self, name: str, cause: str = "") -> list[Run]:
        return [r for r in self.runs if r.pipeline.name == name and cause in ("", r.cause)]


class Keep(Message):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__()

    def handle_message(self, message) -> None:
        mailbox.Maildir(self.folder).add(message)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Iterator[Settings]:
    """An installation with live data, and a mail server that keeps what it gets."""
    home = tmp_path_factory.mktemp("month")
    smtp, api, blue, green = map(str, free_ports(4))
    server = Controller(Keep(home / "inbox"), hostname="127.0.0.1", port=int(smtp))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HOME": str(home),
            "SOURCE": "live",
            "ASSET": "GSPC",
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": smtp,
            "MAIL_TLS": "none",
            "MAIL_TO": "desk@example.org",
            # Nobody listens there: champions change without servers.
            "API_PORT": api,
            "BLUE_PORT": blue,
            "GREEN_PORT": green,
        }.items():
            patch.setenv(f"RISKCAST_{name}", value)
        yield read_settings()
    server.stop()


@pytest.fixture(scope="module")
def month(settings, request) -> Month:
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def say(run: Run) -> None:
        odd = {name: end for name, end in run.tasks.items() if end != "success"}
        terminal.write_line(
            f"{run.at:%a %d %b %H:%M} {run.pipeline.name:<16} {run.cause:<14} {run.seconds:5.0f} s "
            f"{odd or ''}"
        )

    source = vendor()
    with time_machine.travel(FIRST - timedelta(hours=1), tick=True):
        ports = Ports(settings)
        ports.source = source
        for pipeline in FIRST_RUN:
            terminal.write_line(f"the past: {pipeline.name}")
            run_pipeline(pipeline, Window(BEGINNING, FIRST), ports)
    scheduler = Scheduler(settings, source, say)
    scheduler.live(FIRST, LAST)
    box = mailbox.Maildir(settings.home_path / "inbox")
    subjects = [" ".join(mail["Subject"].split()) for mail in box]
    for subject, count in sorted(Counter(kind(s) for s in subjects).items()):
        terminal.write_line(f"{count:>4} x {subject}")
    return Month(settings, open_lake(settings), scheduler.runs, subjects)


def kind(subject: str) -> str:
    """What a mail is about, without its figures."""
    for part, name in {
        "in 5 sessions": "digest",
        "Await the retraining": "retraining asked for",
        "Read forecasts with care": "drift",
        "Resolved: drift": "drift resolved",
        "serves daily_risk": "deployment",
        "kept its champion": "kept champion",
        "[riskcast]": "failed task",
    }.items():
        if part in subject:
            return name
    return subject


def faults(ends: list[datetime], expected: list[datetime]) -> list[datetime]:
    """Instants that no run, or more than one, ends at; or that should have none."""
    return sorted(
        {at for at in {*ends, *expected} if ends.count(at) != 1 or at not in set(expected)}
    )


def test_every_session_release_and_saturday_is_run_once_and_nothing_else(month):
    evenings = [datetime(d.year, d.month, d.day, 22, 5, tzinfo=UTC) for d in weekdays()]
    assert len(evenings) == 26
    for name, expected in {
        "market_daily": evenings,
        "macro_release": RELEASES,
        "fit_regimes": [datetime(d.year, d.month, d.day, 5, tzinfo=UTC) for d in SATURDAYS],
        "train_daily_risk": [datetime(d.year, d.month, d.day, 6, tzinfo=UTC) for d in SATURDAYS],
    }.items():
        runs = month.of(name, "scheduled")
        assert faults([run.window.end for run in runs], expected) == [], name
        assert all(a.window.end == b.window.start for a, b in pairwise(runs)), name
    told = [end for end in evenings if end.date() != LATE]
    assert faults([run.window.end for run in month.of("monitor", "features_daily")], told) == []


def test_the_check_sees_a_missed_and_a_double_run(month):
    ends = [run.window.end for run in month.of("market_daily")]
    assert faults(ends[1:], ends) == ends[:1]
    assert faults([*ends, ends[3]], ends) == [ends[3]]


def test_only_the_late_file_stops_a_run_and_a_refusal_is_tried_again(month):
    failed = [run for run in month.runs if run.failed]
    assert [(r.pipeline.name, r.window.end.date()) for r in failed] == [("market_daily", LATE)]
    assert [name for name, end in failed[0].tasks.items() if end == FAILED] == ["check"]
    assert {"features", "forecast", "publish"} <= {
        name for name, end in failed[0].tasks.items() if end == LEFT_OUT
    }
    again = {
        (run.window.end.date(), name): count
        for run in month.runs
        for name, count in run.tries.items()
        if count > 1
    }
    assert again == {(REFUSED, "ingest_market"): 2, (LATE, "check"): 3}


def test_drift_alarms_in_the_planted_weeks_alone_and_asks_for_one_retraining(month):
    health = month.lake.read(HEALTH)
    drift = health.filter(check="drift", subject="all", verdict="alarm")["at"].dt.date()
    assert (drift.min(), drift.max()) == (FOUND, date(2018, 11, 16))
    asked = health.filter(pl.col("check").is_in(["retrain", "rollback"]))
    assert asked["at"].dt.date().to_list() == [FOUND]
    (run,) = month.of("train_daily_risk", "drift")
    assert run.window.end.date() == FOUND
    assert month.lake.read(DECISIONS).height == 1 + 1 + len(SATURDAYS)


def test_each_mail_comes_once_and_no_other(month):
    promoted = month.lake.read(DEPLOYMENTS).filter(action="promote").height
    refused = month.lake.read(DECISIONS).filter(verdict="refuse").height
    assert promoted + refused == 1 + 1 + len(SATURDAYS)
    expected = {
        "digest": len(weekdays()) - 1,  # the late session's came too late for one of its own
        "retraining asked for": 1,
        "drift": 1,
        "drift resolved": 1,
        "deployment": promoted,
        "failed task": 1 + refused,
    } | ({"kept champion": refused} if refused else {})
    assert Counter(kind(subject) for subject in month.subjects) == expected
    assert len(set(month.subjects)) == len(month.subjects)
    keys = month.lake.read(NOTICES)
    assert keys.height == len(month.subjects) - 1 - refused  # the scheduler's own are not kept


def test_every_session_is_forecast_once_by_a_model_that_knew_no_more(month):
    made = month.lake.read(PREDICTIONS_DAILY).filter(pl.col("date") >= weekdays()[0])
    champion = made.filter(slot="champion")
    assert champion["date"].sort().to_list() == weekdays()
    features = month.lake.read(FEATURES_DAILY).select("date", pl.col("known_at").alias("known"))
    both = champion.join(features, on="date")
    assert (both["known_at"] == both["known"]).all()
    versions = champion.sort("date")["model_version"].cast(pl.Int64)
    assert versions.is_sorted()
    assert versions.n_unique() > 2


@pytest.fixture(scope="module")
def backfilled(month) -> Lake:
    """The same past and month in one window, once all files are there."""
    lake = MemoryLake()
    with time_machine.travel(LAST, tick=True):
        ports = Ports(month.settings, lake=lake, backfill=True)
        ports.source = vendor()
        for step in MARKET_DAILY.ordered():
            if step.writes and step.name != "forecast":
                run_step(step, Window(BEGINNING, LAST - timedelta(hours=1)), ports)
    return lake


def as_told(rows: pl.DataFrame) -> pl.DataFrame:
    """What the late file carries, as known when it could be read: with the next session's."""
    late, then = (session_known_at(day) for day in (LATE, NEXT))
    known_at = pl.when(pl.col("known_at") == late).then(pl.lit(then)).otherwise("known_at")
    return rows.with_columns(known_at.cast(rows.schema["known_at"]).alias("known_at"))


def content(lake: Lake, table: Table) -> str:
    rows = lake.read(table, all_vintages=True)
    return content_hash(as_told(rows) if table in FROM_BARS else rows, table)


@pytest.mark.parametrize("table", (*FROM_BARS, *FROM_ELSEWHERE), ids=lambda table: table.name)
def test_the_month_left_what_a_straight_backfill_gives(month, backfilled, table):
    """Outside are predictions, losses, health, decisions, deployments, notices: what was said and
    decided at the time, which a backfill neither repeats nor takes back."""
    assert content(month.lake, table) == content(backfilled, table)


def test_only_the_late_session_became_known_later_than_its_close(month, backfilled):
    live, straight = (each.read(FEATURES_DAILY).sort("date") for each in (month.lake, backfilled))
    differs = live.filter(live["known_at"] != straight["known_at"])
    assert differs["date"].to_list() == [LATE]
    assert live.filter(date=LATE)["known_at"][0] == session_known_at(NEXT)
