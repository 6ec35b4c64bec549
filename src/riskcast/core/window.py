"""A span of time that a run is answerable for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from riskcast.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open span ``(start, end]`` of UTC instants.

    A run with this window writes the rows that became known after `start` and up to `end`, and
    reads what was known at `end`. So twenty years in one run or day by day give the same rows.

    Raises
    ------
    SettingsError
        If an instant is naive or the span is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.tzinfo is None:
                raise SettingsError(f"{name} {instant} has no time zone; give UTC")
        if not self.start < self.end:
            raise SettingsError(
                f"the window is empty: start {self.start.isoformat()} is not before "
                f"end {self.end.isoformat()}"
            )

    @property
    def as_of(self) -> datetime:
        """The instant whose knowledge the run has."""
        return self.end

    def holds(self, instant: datetime) -> bool:
        return self.start < instant <= self.end

    @classmethod
    def parse(cls, start: str, end: str) -> Window:
        """Read two ISO dates or instants.

        A bare date stands for its whole UTC day, so ``2018-12-31`` as `end` includes that day.
        """
        return cls(_instant(start, "start"), _instant(end, "end", whole_day=True))


def _instant(text: str, name: str, *, whole_day: bool = False) -> datetime:
    try:
        if len(text) == len("2018-12-31"):
            day = date.fromisoformat(text)
            instant = datetime.combine(day, time(), UTC)
            return instant + timedelta(days=1) if whole_day else instant
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--{name} {text!r} is no ISO date or instant") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
