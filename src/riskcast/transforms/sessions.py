"""Sessions of the New York Stock Exchange and when their bars become known.

Early closes count: the session of 2018-07-03 closed at 13:00 New York and is known at 13:15.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache

import polars as pl

from riskcast.core.errors import NoSuchSession

EXCHANGE = "XNYS"
CLOSE_DELAY = timedelta(minutes=15)
OFF_SESSION_AT = time(22, 0)  # UTC; after every close, for bars dated on days without a session
# The library's default bounds hang on today's date; fixed ones give the same calendar always.
FIRST, LAST = date(1927, 1, 1), date(2045, 12, 31)
INSTANT = pl.Datetime("us", "UTC")


@cache
def _calendar() -> pl.DataFrame:
    """Every session of the calendar with open_at, close_at and known_at, ascending."""
    import exchange_calendars  # takes a second: paid by the first use only

    calendar = exchange_calendars.get_calendar(
        EXCHANGE, start=FIRST.isoformat(), end=LAST.isoformat()
    )
    schedule = calendar.schedule
    return pl.DataFrame(
        {
            "session": schedule.index.to_numpy(),
            "open_at": schedule["open"].dt.tz_localize(None).to_numpy(),
            "close_at": schedule["close"].dt.tz_localize(None).to_numpy(),
        }
    ).select(
        pl.col("session").cast(pl.Date),
        pl.col("open_at", "close_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        (pl.col("close_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + CLOSE_DELAY)
        .cast(INSTANT)
        .alias("known_at"),
    )


@cache
def _sessions() -> frozenset[date]:
    return frozenset(_calendar()["session"].to_list())


def xnys_sessions(first: date, last: date) -> pl.DataFrame:
    """Return the sessions from `first` to `last`, both included, as rows of `sessions`.

    A calendar is known years ahead; `known_at` is nevertheless that of the session's bar, so
    that a window picks a session together with its bars.

    Raises
    ------
    NoSuchSession
        If the span reaches outside the calendar.
    """
    if first < FIRST or last > LAST:
        raise NoSuchSession(f"{first} to {last}: the {EXCHANGE} calendar covers {FIRST} to {LAST}")
    return (
        _calendar()
        .filter(pl.col("session").is_between(first, last))
        .select(
            pl.lit(EXCHANGE).alias("exchange"),
            "session",
            "open_at",
            "close_at",
            "known_at",
            pl.lit("exchange_calendars").alias("source"),
        )
    )


def known_at(dates: pl.Series) -> pl.Series:
    """Return the UTC instant at which the daily bar of each date is known.

    Session close plus 15 minutes; 22:00 UTC for a date that is no session.
    """
    days = pl.DataFrame({"session": dates.cast(pl.Date)})
    off = pl.col("session").dt.combine(OFF_SESSION_AT, "us").dt.replace_time_zone("UTC")
    return (
        days.join(_calendar(), on="session", how="left", maintain_order="left")
        .select(pl.coalesce("known_at", off).cast(INSTANT).alias("known_at"))
        .to_series()
    )


def is_session(day: date) -> bool:
    """Whether the exchange opened, or will open, on `day`."""
    _inside(day)
    return day in _sessions()


def next_session(day: date) -> date:
    """Return the first session after `day`; raise NoSuchSession beyond the calendar."""
    _inside(day)
    while (day := day + timedelta(days=1)) not in _sessions():
        _inside(day)
    return day


def previous_session(day: date) -> date:
    """Return the last session before `day`; raise NoSuchSession beyond the calendar."""
    _inside(day)
    while (day := day - timedelta(days=1)) not in _sessions():
        _inside(day)
    return day


def session_known_at(day: date) -> datetime:
    """Return the instant at which the bar of session `day` is known.

    Raises
    ------
    NoSuchSession
        If `day` is no session; the message names the next one.
    """
    if not is_session(day):
        raise NoSuchSession(f"{day} is no {EXCHANGE} session; the next one is {next_session(day)}")
    known: datetime = known_at(pl.Series([day]))[0]
    return known.astimezone(UTC)


def _inside(day: date) -> None:
    if not FIRST <= day <= LAST:
        raise NoSuchSession(f"{day}: the {EXCHANGE} calendar covers {FIRST} to {LAST}")
