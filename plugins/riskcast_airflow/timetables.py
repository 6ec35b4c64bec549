"""When runs happen. Instants come from snapshots; no package but Airflow's own is read.

Every timetable gives intervals ``(previous tick, this tick]``. A scheduled interval starts where
the last automated one ended: after an outage a single run covers all that was missed, since a
window of many days gives the same rows as the days one by one. So nothing is lost, and nothing
floods when a DAG is unpaused.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, instance

from riskcast.core import snapshots
from riskcast.core.settings import read_settings

PACKAGED = Path(__file__).parent / snapshots.FOLDER
WARN_BEFORE = timedelta(days=10)

log = logging.getLogger(__name__)


def snapshot(name: str) -> Path | None:
    """Return the installation's snapshot, else the one shipped with the plugin, else None."""
    own = read_settings().home_path / snapshots.FOLDER / name
    return next((path for path in (own, PACKAGED / name) if path.is_file()), None)


def now() -> datetime:
    """Return the clock of the data: the wall clock, or the end of data that ends in the past."""
    path = None if read_settings().live else snapshot(snapshots.NEWEST)
    return datetime.now(UTC) if path is None else snapshots.read_newest(path)


# A scheduler asks every few seconds; a file is read again when it has changed.
@lru_cache(maxsize=4)
def _sessions(path: Path, _changed_at: int) -> tuple[datetime, ...]:
    return tuple(snapshots.read_sessions(path))


@lru_cache(maxsize=4)
def _releases(path: Path, _changed_at: int, events: tuple[str, ...]) -> tuple[datetime, ...]:
    return tuple(snapshots.read_releases(path, events))


class TickTimetable(Timetable):
    """Intervals between the ticks of a snapshot.

    Parameters
    ----------
    asked_for : bool
        Whether runs are made only when somebody asks: by a backfill, by hand, over REST. For a
        source whose data ends in the past; a run of today's interval would find nothing there.
    """

    what = "ticks"
    delay = timedelta(0)  # between a tick and its run: the source needs a moment to publish

    def __init__(self, *, asked_for: bool = False) -> None:
        self.asked_for = asked_for

    @abstractmethod
    def ticks(self) -> Sequence[datetime]:
        """Return the instants, ascending; none while there is no snapshot."""

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the interval that follows the last one; None where the snapshot ends."""
        if not restriction.catchup:  # the scheduler's question, since our DAGs never catch up
            return None if self.asked_for else self._live(last_automated_data_interval)
        start: datetime | None = restriction.earliest
        if last_automated_data_interval is not None:
            last = last_automated_data_interval.end
            start = last if start is None else max(start, last)
        ticks = self.ticks()
        first = 0 if start is None else bisect_left(ticks, start)
        if first + 1 >= len(ticks) or (restriction.latest and ticks[first] > restriction.latest):
            return None
        return self._run(ticks[first], ticks[first + 1])

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the last complete interval, as the schedule would have given it."""
        ticks = self.ticks()
        last = bisect_right(ticks, min(run_after, instance(now()))) - 1
        if last < 1:
            return DataInterval.exact(run_after)
        return DataInterval(instance(ticks[last - 1]), instance(ticks[last]))

    def serialize(self) -> dict[str, Any]:
        return {"asked_for": self.asked_for}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        return cls(**data)

    @property
    def summary(self) -> str:
        return f"on request ({self.what})" if self.asked_for else self.what

    def _live(self, last: DataInterval | None) -> DagRunInfo | None:
        ticks, current = self.ticks(), datetime.now(UTC)
        if not ticks:
            log.warning("no snapshot of %s: nothing is scheduled; run ingestion once", self.what)
            return None
        if ticks[-1] - current < WARN_BEFORE:
            log.warning(
                "the snapshot of %s ends at %s; renew it with `riskcast snapshots`",
                self.what,
                ticks[-1].isoformat(),
            )
        due = bisect_right(ticks, current - self.delay) - 1  # the newest tick that has passed
        if last is None:
            return None if due < 1 else self._run(ticks[due - 1], ticks[due])
        if due >= 0 and ticks[due] > last.end:
            return self._run(last.end, ticks[due])
        following = bisect_right(ticks, last.end)
        return None if following == len(ticks) else self._run(last.end, ticks[following])

    def _run(self, start: datetime, end: datetime) -> DagRunInfo:
        return DagRunInfo(
            run_after=instance(end + self.delay),
            data_interval=DataInterval(instance(start), instance(end)),
        )


class SessionCloseTimetable(TickTimetable):
    """Each XNYS session at 22:05 UTC: half days as others, no closed day."""

    what = "XNYS sessions, 22:05 UTC"
    description = "Each session of the New York Stock Exchange, after its close"

    def ticks(self) -> Sequence[datetime]:
        path = snapshot(snapshots.SESSIONS)
        return () if path is None else _sessions(path, path.stat().st_mtime_ns)


class ReleaseCalendarTimetable(TickTimetable):
    """The official instants of releases, in UTC across daylight saving.

    Parameters
    ----------
    events : sequence of str
        Events of the table release_calendar; several due at one instant make one run.
    """

    description = "At official release instants"
    delay = timedelta(minutes=5)  # the public has the figure; services take minutes to carry it

    def __init__(self, events: Sequence[str], *, asked_for: bool = False) -> None:
        super().__init__(asked_for=asked_for)
        self.events = tuple(events)
        self.what = f"releases of {', '.join(self.events)}"

    def ticks(self) -> Sequence[datetime]:
        path = snapshot(snapshots.RELEASES)
        return () if path is None else _releases(path, path.stat().st_mtime_ns, self.events)

    def serialize(self) -> dict[str, Any]:
        return {"events": list(self.events), **super().serialize()}


class AskedForTimetable(CronDataIntervalTimetable):
    """Cron data intervals for runs that somebody asks for, and none by the wall clock.

    A source whose data ends in the past has its own clock: a run of today's interval would find
    nothing, and a training run as of today would outrank every replay. Backfills, and triggers
    by hand or over REST, get the same intervals as a live schedule would.
    """

    description = "On request: the data's own clock stands still"

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next run of a backfill; nothing when the scheduler itself asks."""
        if not restriction.catchup:  # the scheduler's question, since our DAGs never catch up
            return None
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the first interval that holds all the data, or the last complete one before."""
        data_end = instance(now())
        if run_after < data_end:
            return super().infer_manual_data_interval(run_after=run_after)
        end = self._align_to_next(data_end)
        return DataInterval(start=self._get_prev(end), end=end)

    @property
    def summary(self) -> str:
        return f"on request ({self._expression})"
