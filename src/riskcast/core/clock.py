"""The only place that reads the wall clock.

Live mode: now is now. Sample mode: now is the instant at which the newest session of the lake
became known, so a sample that ends in 2018 is fresh on its own day.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


def wall() -> datetime:
    """Current UTC instant, for bookkeeping (`ingested_at`, ledgers): never for what was known."""
    return datetime.now(UTC)


def seconds() -> float:
    """Monotonic seconds, for durations."""
    return time.perf_counter()


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is for forecasts, staleness and schedules.

    Attributes
    ----------
    mode : {"live", "sample"}
    stopped_at : datetime or None
        In sample mode, the instant the clock stands at.
    """

    mode: str = "live"
    stopped_at: datetime | None = None

    def now(self) -> datetime:
        return wall() if self.stopped_at is None else self.stopped_at

    @classmethod
    def sample(cls, newest_known_at: datetime) -> Clock:
        return cls("sample", newest_known_at.astimezone(UTC))
