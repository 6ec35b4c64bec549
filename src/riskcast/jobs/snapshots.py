"""The text files that timetables read, written from the tables and calendars they stand for."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.core.snapshots import (
    FOLDER,
    NEWEST,
    RELEASES,
    SESSIONS,
    session_tick,
    write_snapshot,
)
from riskcast.sources import Source
from riskcast.transforms.sessions import LAST, xnys_sessions

FIRST_SESSION = date(1989, 12, 29)  # the run of the first session of 1990 starts at its tick
WARN_BEFORE = timedelta(days=10)

log = logging.getLogger(__name__)


def write_snapshots(calendar: pl.DataFrame, *, settings: Settings, source: Source) -> None:
    """Write sessions, releases and the data's newest session below ``<home>/snapshots``.

    Parameters
    ----------
    calendar : DataFrame
        Rows of `release_calendar` known by the run. They reach 30 days ahead; the timetable
        warns when fewer than ten are left.
    """
    folder = settings.home_path / FOLDER
    write_sessions(folder / SESSIONS)
    newest = session_tick(date.fromisoformat(source.newest()))
    write_snapshot(folder / NEWEST, "newest_at", [newest.isoformat()])
    last = write_releases(folder / RELEASES, calendar)
    if settings.live and (last is None or last - wall() < WARN_BEFORE):
        log.warning(
            "the release calendar ends at %s; macro_release has nothing to wait for after that: "
            "is ingest_calendar answered by its source?",
            last,
        )


def write_sessions(path: Path) -> None:
    """Write every session from 1990 to the end of the exchange's calendar."""
    days = xnys_sessions(FIRST_SESSION, LAST)["session"]
    write_snapshot(path, "session", [day.isoformat() for day in days])


def write_releases(path: Path, calendar: pl.DataFrame) -> datetime | None:
    """Write instant and event of every release; return the last instant, None without any."""
    rows = calendar.select("release_datetime", "event").unique().sort("release_datetime", "event")
    if rows.is_empty():
        return None
    write_snapshot(
        path,
        "release_datetime,event",
        [f"{at.isoformat()},{event}" for at, event in rows.iter_rows()],
    )
    last: datetime = rows["release_datetime"][-1]
    return last
