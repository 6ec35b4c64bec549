"""When runs happen, over simulated months: each session and each release once, nothing else."""

from __future__ import annotations

import logging
import os
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pendulum
import polars as pl
import pytest
import time_machine
from airflow.timetables.base import DataInterval, TimeRestriction

from riskcast.core.snapshots import FOLDER, NEWEST, RELEASES, SESSIONS
from riskcast.jobs.snapshots import write_releases, write_sessions, write_snapshots
from riskcast.pipelines import PIPELINES
from riskcast.sources.schedule import fomc_decisions, scheduled
from riskcast_airflow import timetables
from riskcast_airflow.timetables import (
    AskedForTimetable,
    ReleaseCalendarTimetable,
    SessionCloseTimetable,
)

DATA = os.environ.get("RISKCAST_BENCH_DATA")
EPOCH = pendulum.datetime(1990, 1, 1)
LIVE = TimeRestriction(earliest=EPOCH, latest=None, catchup=False)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An installation with live data and no snapshot of its own."""
    monkeypatch.setenv("RISKCAST_HOME", str(tmp_path))
    monkeypatch.setenv("RISKCAST_SOURCE", "live")
    return tmp_path


def simulate(
    timetable, first: datetime, last: datetime, *, down: tuple = (), jumps: tuple = ()
) -> list:
    """The runs a scheduler makes that asks every half an hour, except while it is down.

    `jumps` are instants at which the wall clock is set, once each, and what it is set to.
    """
    runs, made = [], None
    now, to_come = first, dict(jumps)
    with time_machine.travel(now, tick=False) as traveller:
        while now <= last:
            traveller.move_to(now)
            if not any(a <= now < b for a, b in down):
                info = timetable.next_dagrun_info(
                    last_automated_data_interval=made, restriction=LIVE
                )
                if info is not None and info.run_after <= now:
                    runs.append(info)
                    made = info.data_interval
            now = to_come.pop(now, now + timedelta(minutes=30))
    return runs


def expected_sessions(first: date, last: date) -> list[datetime]:
    import exchange_calendars

    days = exchange_calendars.get_calendar("XNYS").sessions_in_range(str(first), str(last))
    return [datetime(d.year, d.month, d.day, 22, 5, tzinfo=UTC) for d in days]


def faults(runs: list, expected: list[datetime]) -> list[datetime]:
    """Instants that no run, or more than one, has as its end; or that should have none."""
    ends = [run.data_interval.end for run in runs]
    return sorted(
        {at for at in {*ends, *expected} if ends.count(at) != 1 or at not in set(expected)}
    )


@pytest.mark.parametrize(
    ("first", "last"),
    [
        # Thanksgiving's and Christmas's half days, New Year, Carter's funeral, both changes.
        (date(2024, 10, 15), date(2025, 4, 1)),
        (date(2026, 6, 25), date(2026, 11, 30)),
    ],
)
def test_each_session_is_run_once_and_no_closed_day(first, last):
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, 23, tzinfo=UTC)
    runs = simulate(SessionCloseTimetable(), begin, end)
    # The first is the session before: the newest complete interval when it is unpaused.
    assert faults(runs[1:], expected_sessions(first, last)) == []
    assert all(a.data_interval.end == b.data_interval.start for a, b in pairwise(runs))
    assert all(run.run_after == run.data_interval.end for run in runs)


def test_the_check_sees_a_missed_and_a_double_run():
    first, last = date(2025, 3, 3), date(2025, 3, 14)
    runs = simulate(
        SessionCloseTimetable(), datetime(2025, 3, 3, tzinfo=UTC), datetime(2025, 3, 15, tzinfo=UTC)
    )[1:]
    expected = expected_sessions(first, last)
    assert faults(runs, expected) == []
    assert faults(runs[1:], expected) == expected[:1]
    assert faults([*runs, runs[0]], expected) == expected[:1]


def test_after_an_outage_one_run_covers_what_was_missed():
    down = (datetime(2025, 1, 8, tzinfo=UTC), datetime(2025, 1, 14, 12, tzinfo=UTC))
    runs = simulate(
        SessionCloseTimetable(),
        datetime(2025, 1, 6, 12, tzinfo=UTC),
        datetime(2025, 1, 15, tzinfo=UTC),
        down=(down,),
    )
    ends = [(run.data_interval.start.day, run.data_interval.end.day) for run in runs]
    assert ends == [(2, 3), (3, 6), (6, 7), (7, 13), (13, 14)]


def test_a_wall_clock_that_is_set_neither_repeats_nor_loses_a_session():
    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2025, 3, day, hour, minute, tzinfo=UTC)

    runs = simulate(
        SessionCloseTimetable(),
        at(3, 0),
        at(17, 0),
        jumps=(
            (at(4, 22, 30), at(4, 20, 30)),  # back over a close that has been run
            (at(6, 3), at(5, 3)),  # back by a day
            (at(9, 1), at(9, 2)),  # New York's clocks go forward, and so does a wrong UTC
            (at(11, 12), at(14, 12)),  # a machine that slept for three sessions
        ),
    )[1:]
    ends = [run.data_interval.end.day for run in runs]
    assert ends == [3, 4, 5, 6, 7, 10, 13, 14]
    assert all(a.data_interval.end == b.data_interval.start for a, b in pairwise(runs))


def test_unpausing_after_years_makes_one_run_and_not_a_flood():
    runs = simulate(
        SessionCloseTimetable(),
        datetime(2026, 7, 4, 12, tzinfo=UTC),
        datetime(2026, 7, 6, 12, tzinfo=UTC),
    )
    assert [run.data_interval.end for run in runs] == [datetime(2026, 7, 2, 22, 5, tzinfo=UTC)]


def test_the_shipped_snapshot_is_the_exchange_s_calendar(home):
    write_sessions(home / SESSIONS)
    assert (timetables.PACKAGED / SESSIONS).read_text() == (home / SESSIONS).read_text()


def test_an_own_snapshot_comes_before_the_shipped_one(home):
    (home / FOLDER).mkdir()
    (home / FOLDER / SESSIONS).write_text("session\n2026-01-05\n2026-01-06\n")
    assert len(SessionCloseTimetable().ticks()) == 2


def fomc_and_cpi(first: date, last: date) -> pl.DataFrame:
    days = [date(2025, 2, 12), date(2025, 3, 12), date(2025, 4, 10), date(2025, 11, 13)]
    from datetime import time

    rows = pl.concat([fomc_decisions(), scheduled("cpi", days, time(8, 30), "test")])
    return rows.filter(pl.col("release_datetime").dt.date().is_between(first, last))


def test_each_release_is_run_once_in_the_season_s_own_utc(home):
    calendar = fomc_and_cpi(date(2025, 1, 1), date(2025, 12, 31))
    write_releases(home / FOLDER / RELEASES, calendar)
    timetable = ReleaseCalendarTimetable(["cpi", "fomc_decision"])
    runs = simulate(timetable, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC))
    ends = [run.data_interval.end.strftime("%m-%d %H:%M") for run in runs]
    # The first release of all opens the first interval.
    assert ends == ["02-12 13:30", "03-12 12:30", "03-19 18:00", "04-10 12:30"]
    assert all(run.run_after - run.data_interval.end == timetable.delay for run in runs)


def test_two_releases_at_one_instant_make_one_run(home):
    (home / FOLDER).mkdir()
    at = "2025-03-12T12:30:00+00:00"
    (home / FOLDER / RELEASES).write_text(
        f"release_datetime,event\n2025-02-12T13:30:00+00:00,cpi\n{at},cpi\n{at},nfp\n"
    )
    assert len(ReleaseCalendarTimetable(["cpi", "nfp"]).ticks()) == 2


def test_the_end_of_the_snapshot_is_warned_about_before_it_is_reached(home, caplog):
    write_releases(home / FOLDER / RELEASES, fomc_and_cpi(date(2025, 1, 1), date(2025, 3, 19)))
    timetable = ReleaseCalendarTimetable(["cpi", "fomc_decision"])
    last = DataInterval(pendulum.datetime(2025, 1, 29, 19), pendulum.datetime(2025, 2, 12, 13, 30))
    for day, warned in ((date(2025, 3, 1), False), (date(2025, 3, 10), True)):
        caplog.clear()
        with time_machine.travel(day), caplog.at_level(logging.WARNING):
            assert timetable.next_dagrun_info(last_automated_data_interval=last, restriction=LIVE)
        assert ("ends at 2025-03-19" in caplog.text) is warned


def test_without_a_snapshot_nothing_is_scheduled_and_the_log_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        info = ReleaseCalendarTimetable(["cpi"]).next_dagrun_info(
            last_automated_data_interval=None, restriction=LIVE
        )
    assert info is None
    assert "no snapshot of releases of cpi" in caplog.text


@pytest.mark.parametrize(
    "timetable",
    [SessionCloseTimetable(asked_for=True), ReleaseCalendarTimetable(["cpi"], asked_for=True)],
)
def test_data_that_ends_in_the_past_schedules_nothing(timetable):
    stored = type(timetable).deserialize(timetable.serialize())
    assert stored.next_dagrun_info(last_automated_data_interval=None, restriction=LIVE) is None
    assert stored.summary.startswith("on request")


def test_a_run_by_hand_gets_the_newest_session_of_data_that_ends_in_the_past(home, monkeypatch):
    from riskcast.core.settings import read_settings
    from riskcast.sources import open_source

    monkeypatch.setenv("RISKCAST_SOURCE", "sample")
    settings = read_settings()
    write_snapshots(scheduled("", (), datetime.min.time(), ""), settings=settings,
                    source=open_source(settings))  # fmt: skip
    assert (home / FOLDER / NEWEST).exists()
    today = pendulum.datetime(2026, 11, 21, 7)
    got = SessionCloseTimetable(asked_for=True).infer_manual_data_interval(run_after=today)
    assert got == DataInterval(
        pendulum.datetime(2018, 12, 28, 22, 5), pendulum.datetime(2018, 12, 31, 22, 5)
    )
    weekly = AskedForTimetable("0 6 * * 6", timezone="UTC")
    got = weekly.infer_manual_data_interval(run_after=today)
    assert got.start < pendulum.datetime(2018, 12, 31, 22, 5) <= got.end


def test_a_run_by_hand_of_live_data_gets_the_last_complete_interval():
    with time_machine.travel(datetime(2026, 7, 5, 12, tzinfo=UTC)):
        got = SessionCloseTimetable().infer_manual_data_interval(run_after=pendulum.now("UTC"))
    assert got.end == pendulum.datetime(2026, 7, 2, 22, 5)


def test_a_backfill_makes_a_run_for_each_session_of_its_range():
    timetable, made, ends = SessionCloseTimetable(asked_for=True), None, []
    for _ in range(100):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=made,
            restriction=TimeRestriction(
                pendulum.datetime(2018, 12, 17), pendulum.datetime(2018, 12, 28), True
            ),
        )
        if info is None:
            break
        made = info.data_interval
        ends.append(made.end.day)
    assert ends == [18, 19, 20, 21, 24, 26, 27, 28]


@pytest.mark.bench_data
@pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder")
@pytest.mark.parametrize(
    ("first", "last"), [("2024-01-01", "2024-12-31"), ("2026-09-01", "2026-11-30")]
)
def test_every_cpi_nfp_and_fomc_instant_of_the_real_calendar_is_run_once(home, first, last):
    real = pl.read_parquet(Path(DATA) / "release_calendar.parquet")
    events = PIPELINES["macro_release"].schedule.split()[1:]
    write_releases(home / FOLDER / RELEASES, real)
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    end = datetime.fromisoformat(last).replace(tzinfo=UTC, hour=23)
    due = real.filter(
        pl.col("event").is_in(events) & pl.col("release_datetime").is_between(begin, end)
    )
    runs = simulate(ReleaseCalendarTimetable(events), begin, end)
    assert faults(runs[1:], due["release_datetime"].unique().to_list()) == []
    asked = due.filter(pl.col("event").is_in(["cpi", "nfp", "fomc_decision"]))
    assert asked["event"].n_unique() == 3
    assert set(asked["release_datetime"]) <= {run.data_interval.end for run in runs}
