"""FRED and ALFRED: macro values, every vintage of what is revised, and the release schedule.

A vintage is asked for by its real-time period: ``vintage_dates`` on observations returns revised
values under the date of the first print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import partial

import polars as pl

from riskcast.core.errors import SourceMalformed, SourceMissing, SourceRefused
from riskcast.core.window import Window
from riskcast.sources.cache import Cache
from riskcast.sources.checks import settled
from riskcast.sources.fields import day, items, mapping, member, number, shown
from riskcast.sources.http import Answer, Http, Patience
from riskcast.sources.keys import Keyring
from riskcast.sources.releases import new_york, next_business_day
from riskcast.tables.bronze import RAW_MACRO
from riskcast.transforms.sessions import INSTANT

URL = "https://api.stlouisfed.org"
KEY_PAGE = "https://fred.stlouisfed.org/docs/api/api_key.html"
INTERVAL = 0.5  # seconds: 120 requests a minute are allowed
# ALFRED refuses more than 2000 vintages in one real-time period.
VINTAGES_AT_ONCE = 1000
ROWS_AT_ONCE = 100_000
MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Series:
    """A series and how its release instant is told.

    Attributes
    ----------
    at : time
        Official release time in New York.
    vintages : bool
        Whether ALFRED's vintage dates say when each value was published. Where False, a value
        counts as published at `at` on the business day after the day it is about.
    """

    series_id: str
    frequency: str
    at: time
    vintages: bool


SERIES = (
    # The Bureau of Labor Statistics publishes at 08:30 and revises.
    Series("CPIAUCSL", "M", time(8, 30), vintages=True),
    Series("UNRATE", "M", time(8, 30), vintages=True),
    Series("PAYEMS", "M", time(8, 30), vintages=True),
    # The New York Fed publishes the effective rate of a day at 09:00 on the next.
    Series("DFF", "D", time(9, 0), vintages=False),
    # Release H.15 appears at 16:15 with the yields of the business day before.
    Series("DGS2", "D", time(16, 15), vintages=False),
    Series("DGS10", "D", time(16, 15), vintages=False),
    # ICE delivers the spread of a day overnight; FRED shows it during the next morning.
    Series("BAMLH0A0HYM2", "D", time(10, 0), vintages=False),
)


class Fred:
    """The web service of the Federal Reserve Bank of St. Louis.

    Raises
    ------
    SourceRefused
        If there is no key, or FRED refuses it.
    """

    def __init__(self, url: str, keys: Keyring, patience: Patience) -> None:
        key = keys.need("fred", KEY_PAGE)
        self._cure = keys.cure("fred")
        self._http = Http(
            "FRED",
            url or URL,
            interval=INTERVAL,
            patience=patience,
            query={"api_key": key},
            judge=self._judge,
        )

    def fetch(self, window: Window, cache: Cache) -> pl.DataFrame:
        """Return rows of `raw.macro` released in the window, with known_at and source.

        Series are kept one at a time, so that a later try asks only for the rest.

        Raises
        ------
        SourceMissing
            If a series, or a vintage ALFRED lists, holds nothing.
        """
        frames = [cache.get(one.series_id, partial(self._rows, one, window)) for one in SERIES]
        cache.clear()
        return pl.concat(frames).sort(RAW_MACRO.key)

    def release_dates(self, release_id: int) -> list[date]:
        """Return every date of a release, past and scheduled, ascending."""
        where = f"FRED release {release_id}"
        rows = self._pages(
            "fred/release/dates",
            {
                "release_id": str(release_id),
                "include_release_dates_with_no_data": "true",  # those that lie ahead
                "sort_order": "asc",
            },
            "release_dates",
            10_000,
            where,
        )
        dates = {day(member(mapping(row, where), "date", where), where) for row in rows}
        if not dates:
            raise SourceMissing(f"{where} has no dates: the answer was empty")
        return sorted(dates)

    def _rows(self, one: Series, window: Window) -> pl.DataFrame:
        values = self._vintages(one, window) if one.vintages else self._lagged(one)
        rows = values.select(
            pl.lit(one.series_id).alias("series_id"),
            "macro_value_date",
            "release_datetime",
            "value",
            pl.lit(one.frequency).alias("frequency"),
            pl.col("release_datetime").alias("known_at"),
            pl.lit("alfred" if one.vintages else "fred").alias("source"),
        )
        return settled(f"FRED {one.series_id}", rows, RAW_MACRO, window)

    def _vintages(self, one: Series, window: Window) -> pl.DataFrame:
        where = f"ALFRED {one.series_id}"
        dates = self._vintage_dates(one.series_id)
        released = new_york(pl.Series(dates, dtype=pl.Date), one.at)
        wanted = [at for at, instant in zip(dates, released, strict=True) if window.holds(instant)]
        if not wanted:
            return _released([], pl.Series([], dtype=INSTANT))
        rows: list[Observation] = []
        before = wanted[0] - timedelta(days=1)
        for i in range(0, len(wanted), VINTAGES_AT_ONCE):
            last = wanted[i : i + VINTAGES_AT_ONCE][-1]
            span = {"realtime_start": str(before), "realtime_end": str(last)}
            found = self._observations(one.series_id, span)
            if not found:
                raise SourceMissing(f"{where} lists vintages up to {last} and has no values then")
            # What was published before the period, too, is dated to its first day.
            rows += [row for row in found if row.vintage > before]
            before = last
        return _released(rows, new_york(_dates(row.vintage for row in rows), one.at))

    def _lagged(self, one: Series) -> pl.DataFrame:
        # The whole series, so that an empty answer is never a matter of the span asked for.
        rows = self._observations(one.series_id, {})
        if not rows:
            raise SourceMissing(f"FRED {one.series_id} has no values: the answer was empty")
        published = _dates(next_business_day(row.about) for row in rows)
        return _released(rows, new_york(published, one.at))

    def _vintage_dates(self, series_id: str) -> list[date]:
        where = f"ALFRED {series_id}"
        params = {"series_id": series_id, "sort_order": "asc"}
        rows = self._pages("fred/series/vintagedates", params, "vintage_dates", 10_000, where)
        dates = sorted({day(row, where) for row in rows})
        if not dates:
            raise SourceMissing(f"{where} has no vintages: the answer was empty")
        return dates

    def _observations(self, series_id: str, span: dict[str, str]) -> list[Observation]:
        params = {"series_id": series_id, "sort_order": "asc", **span}
        where = f"FRED {series_id}"
        rows = self._pages("fred/series/observations", params, "observations", ROWS_AT_ONCE, where)
        return read_observations(rows, where)

    def _pages(
        self, path: str, params: dict[str, str], name: str, limit: int, where: str
    ) -> list[object]:
        rows: list[object] = []
        for _ in range(MOST_PAGES):
            page = {"file_type": "json", "limit": str(limit), "offset": str(len(rows))}
            payload = mapping(self._http.get(path, {**params, **page}).json(), where)
            got = items(member(payload, name, where), where)
            count = member(payload, "count", where)
            if not isinstance(count, int) or isinstance(count, bool):
                raise SourceMalformed(f"{where}: count {shown(count)} is no whole number")
            rows += got
            if len(rows) == count:
                return rows
            if not got or len(rows) > count:
                break
        raise SourceMalformed(f"{where}: {shown(count)} {name} announced, {len(rows)} sent")

    def _judge(self, answer: Answer) -> None:
        if answer.status in (401, 403):
            raise SourceRefused(f"{answer.who} refuses: {answer.excerpt()}; {self._cure}")
        if answer.status != 400:
            return
        said = answer.excerpt()
        if "api_key" in said:
            raise SourceRefused(f"{answer.who} refuses the key ({said}): {self._cure}")
        if "does not exist" in said:
            raise SourceMissing(f"{answer.who}: {said}")


@dataclass(frozen=True, slots=True)
class Observation:
    """A value of a period and the first day, in the period asked for, that it was valid."""

    about: date
    vintage: date
    value: float


def read_observations(rows: list[object], where: str) -> list[Observation]:
    """Return the values of an answer, leaving out the dots that stand for none.

    Raises
    ------
    SourceMalformed
        If a row is no observation.
    """
    found = []
    for item in rows:
        row = mapping(item, where)
        about = day(member(row, "date", where), where)
        here = f"{where} {about}"
        vintage = day(member(row, "realtime_start", here), here)
        value = member(row, "value", here)
        if value != ".":
            found.append(Observation(about, vintage, number(value, here)))
    return found


def _released(rows: list[Observation], released: pl.Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "macro_value_date": _dates(row.about for row in rows),
            "release_datetime": released,
            "value": pl.Series([row.value for row in rows], dtype=pl.Float64),
        }
    )


def _dates(days: Iterator[date]) -> pl.Series:
    return pl.Series(list(days), dtype=pl.Date)
