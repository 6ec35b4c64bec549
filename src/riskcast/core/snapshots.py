"""Small text files of instants that a scheduler reads: sessions, releases, the data's own end.

They are generated from tables and calendars that need packages a scheduler does not have. Each is
a CSV file with one header line, ascending.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path

from riskcast.core.errors import SettingsError

FOLDER = "snapshots"
SESSIONS = "sessions.csv"
RELEASES = "releases.csv"
NEWEST = "newest.csv"
# After every close, 21:00 UTC in winter, and the quarter of an hour until a bar counts as known.
TICK = time(22, 5)


def session_tick(session: date) -> datetime:
    """Return the UTC instant at which the run of a session is due."""
    return datetime.combine(session, TICK, UTC)


def read_sessions(path: Path) -> list[datetime]:
    """Return the ticks of a file of session dates."""
    return [session_tick(date.fromisoformat(row[0])) for row in _rows(path)]


def read_releases(path: Path, events: Collection[str]) -> list[datetime]:
    """Return the instants at which any of the events is due, each once."""
    due = {datetime.fromisoformat(at) for at, event in _rows(path) if event in events}
    return sorted(due)


def read_newest(path: Path) -> datetime:
    """Return the tick of the newest session that the data has."""
    return datetime.fromisoformat(_rows(path)[0][0])


def write_snapshot(path: Path, header: str, lines: Iterable[str]) -> bool:
    """Write a file whole or not at all; return whether its content changed."""
    text = "\n".join([header, *lines, ""])
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return True


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    if not rows:
        raise SettingsError(f"{path} is empty; write it again with `riskcast snapshots`")
    return rows
