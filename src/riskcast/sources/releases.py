"""When macro values count as released where no source says so: simple rules in New York time.

Rules stand in for calendars that the data does not carry. They err on the late side, so a value
is never used before the public had it.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from functools import cache

import polars as pl

from riskcast.transforms.sessions import FIRST, INSTANT, LAST, next_session

NEW_YORK = "America/New_York"
FRIDAY = 4


def new_york(days: pl.Series, at: time) -> pl.Series:
    """Return the UTC instants of a New York clock time on each day, across daylight saving."""
    local = days.dt.combine(at, "us").dt.replace_time_zone(NEW_YORK)
    return local.dt.convert_time_zone("UTC").cast(INSTANT)


def next_month(day: date) -> date:
    """Return the first day of the month after `day`."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def first_friday(month: date) -> date:
    """Employment report: first Friday of the following month."""
    first = next_month(month)
    return first + timedelta(days=(FRIDAY - first.weekday()) % 7)


def first_session(month: date) -> date:
    """Purchasing managers' survey: first session of the following month."""
    return next_session(next_month(month) - timedelta(days=1))


def on_10th(month: date) -> date:
    """Monthly averages of yields: the 10th of the following month."""
    return next_month(month).replace(day=10)


def on_20th(month: date) -> date:
    """Consumer prices: the 20th of the following month; the Bureau mostly has them by the 15th."""
    return next_month(month).replace(day=20)


@cache
def _federal_holidays() -> frozenset[date]:
    from pandas.tseries.holiday import USFederalHolidayCalendar  # half a second, first use only

    return frozenset(USFederalHolidayCalendar().holidays(FIRST, LAST).date)


def is_federal_holiday(day: date) -> bool:
    """Whether the Federal Reserve and the bond market rest, as on Columbus Day."""
    return day in _federal_holidays()


def next_business_day(day: date) -> date:
    """Return the first session after `day` that is no federal holiday."""
    day = next_session(day)
    while is_federal_holiday(day):
        day = next_session(day)
    return day


RULES = {
    "CPILFESL": (on_20th, time(8, 30)),
    "AAA": (on_10th, time(8, 30)),
    "BAA": (on_10th, time(8, 30)),
    "UNRATE": (first_friday, time(8, 30)),
    "ISM_MAN_PMI": (first_session, time(10, 0)),
    "DFF": (next_session, time(9, 0)),
    "DGS2": (next_session, time(16, 15)),
    "DGS10": (next_session, time(16, 15)),
}


def release_datetime(series_id: str, value_dates: pl.Series) -> pl.Series:
    """Return the UTC release instant of each value of a series of the sample.

    Parameters
    ----------
    value_dates : Series of Date
        First day of each month, or the session of each daily value.
    """
    rule, at = RULES[series_id]
    days = pl.Series([rule(day) for day in value_dates], dtype=pl.Date)
    return new_york(days, at).rename("release_datetime")
