"""The release calendar: when figures and decisions are due.

Schedules are published long before. A row is known 30 days ahead of its release: late enough to
be true of every schedule used here, early enough for whoever plans by it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date, time, timedelta
from functools import cache
from importlib.resources import files

import polars as pl

from riskcast.core.window import Window
from riskcast.sources.releases import first_session, new_york, next_month
from riskcast.tables.bronze import RELEASE_CALENDAR
from riskcast.transforms.sessions import INSTANT

AHEAD = timedelta(days=30)
SURVEY_AT = time(10, 0)  # the Institute for Supply Management, first business day of the month
COLUMNS = (*(column.name for column in RELEASE_CALENDAR.columns), "known_at", "source")


def scheduled(
    event: str, days: Iterable[date], at: time, source: str, *, of: Iterable[date | None] = ()
) -> pl.DataFrame:
    """Return rows of `release_calendar` for a New York clock time on each day.

    Parameters
    ----------
    of : iterable of date or None
        First day of the period each release is about; unknown when left out.
    """
    dates = pl.Series(list(days), dtype=pl.Date)
    periods = list(of) or [None] * len(dates)
    rows = pl.DataFrame(
        {
            "event": pl.Series([event] * len(dates), dtype=pl.String),
            "ref_period": pl.Series(periods, dtype=pl.Date),
            "release_datetime": new_york(dates, at),
            "source": pl.Series([source] * len(dates), dtype=pl.String),
        }
    )
    return with_known_at(rows)


def no_releases() -> pl.DataFrame:
    """Return no rows of `release_calendar`."""
    return scheduled("", (), SURVEY_AT, "")


def with_known_at(rows: pl.DataFrame) -> pl.DataFrame:
    """Add known_at to rows of `release_calendar`, columns in their order."""
    known = (pl.col("release_datetime") - AHEAD).cast(INSTANT).alias("known_at")
    return rows.with_columns(known).select(COLUMNS)


def surveys(window: Window) -> pl.DataFrame:
    """Return the releases of the PMI that become known in the window, by the Institute's rule."""
    months = [window.start.date().replace(day=1) - timedelta(days=1)]
    months = [months[0].replace(day=1)]
    while months[-1] <= window.end.date() + AHEAD:
        months.append(next_month(months[-1]))
    days = [first_session(month) for month in months]
    return scheduled("ism_pmi", days, SURVEY_AT, "ism.rule", of=months)


@cache
def fomc_decisions() -> pl.DataFrame:
    """Return the statements of the scheduled meetings of the FOMC.

    The package's ``fomc.csv`` has them from 2000, with their New York times: 14:15, since March
    2013 14:00, and 12:30 before the press conferences of 2011 and 2012. The Board announces
    meetings more than a year ahead and no web service tells them.
    """
    text = files("riskcast.sources").joinpath("fomc.csv").read_text(encoding="utf-8")
    rows = [
        scheduled(
            "fomc_decision",
            [date.fromisoformat(row["date"])],
            time.fromisoformat(row["new_york_time"]),
            "federalreserve.gov",
        )
        for row in csv.DictReader(text.splitlines())
    ]
    return pl.concat(rows)
