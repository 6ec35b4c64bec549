"""A vendor with a bad month: a file that comes a day late, an hour without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import SourceUnreachable
from riskcast.core.window import Window
from riskcast.sources import Source


class LateVendor:
    """Another source's rows, told when this one has them.

    Parameters
    ----------
    late : mapping of session to instant
        Bars of the session are delivered from the instant on, by the wall clock.
    refuses : mapping of session to count
        How many requests of the session's evening are not answered.
    """

    name = "late"

    def __init__(
        self, source: Source, *, late: Mapping[date, datetime], refuses: Mapping[date, int]
    ) -> None:
        self._source, self._late, self._refuses = source, late, dict(refuses)

    @property
    def look_back(self) -> timedelta:
        return self._source.look_back

    def fetch_market(self, window: Window) -> pl.DataFrame:
        day = window.end.date()
        if self._refuses.get(day, 0) > 0:
            self._refuses[day] -= 1
            raise SourceUnreachable("the vendor answered 503")
        waited_for = [day for day, there in self._late.items() if wall() < there]
        return self._source.fetch_market(window).filter(~pl.col("date").is_in(waited_for))

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        return self._source.fetch_macro(window)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        return self._source.fetch_calendar(window)

    def newest(self) -> str:
        return self._source.newest()
