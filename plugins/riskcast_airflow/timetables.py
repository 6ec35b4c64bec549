"""When runs happen. Reads no clock and no database."""

from __future__ import annotations

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


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

    @property
    def summary(self) -> str:
        return f"on request ({self._expression})"
