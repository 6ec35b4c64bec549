from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transform_rows import utc

from riskcast.core.errors import NoSuchSession
from riskcast.tables.bronze import SESSIONS
from riskcast.transforms.sessions import (
    is_session,
    known_at,
    next_session,
    session_known_at,
    xnys_sessions,
)

days = st.dates(date(1990, 1, 1), date(2030, 12, 31))


def test_sessions_have_the_columns_of_their_table():
    names = [column.name for column in SESSIONS.every_column if column.name != "ingested_at"]
    assert xnys_sessions(date(2018, 1, 1), date(2018, 1, 5)).columns == names


def test_a_week_with_a_holiday_and_a_half_day():
    week = xnys_sessions(date(2018, 7, 2), date(2018, 7, 6))
    assert week["session"].to_list() == [date(2018, 7, day) for day in (2, 3, 5, 6)]
    assert week["open_at"][1] == utc("2018-07-03T13:30")
    assert week["close_at"].to_list()[:2] == [utc("2018-07-02T20:00"), utc("2018-07-03T17:00")]
    assert week["known_at"][1] == utc("2018-07-03T17:15")


@pytest.mark.parametrize(
    ("day", "instant"),
    [
        ("2018-03-09", "2018-03-09T21:15"),  # winter time in New York
        ("2018-03-12", "2018-03-12T20:15"),  # summer time since the day before
        ("2018-11-05", "2018-11-05T21:15"),
        ("2018-11-23", "2018-11-23T18:15"),  # closed at 13:00
        ("2018-12-05", "2018-12-05T22:00"),  # day of mourning, no session
        ("2018-12-29", "2018-12-29T22:00"),  # Saturday
    ],
)
def test_a_bar_is_known_a_quarter_of_an_hour_after_its_close(day, instant):
    assert known_at(pl.Series([date.fromisoformat(day)])).to_list() == [utc(instant)]


def test_known_at_keeps_the_order_and_repeats_of_the_dates():
    asked = [date(2018, 7, 3), date(2018, 7, 2), date(2018, 7, 3)]
    assert [at.date() for at in known_at(pl.Series(asked))] == asked


@given(days)
def test_the_next_session_is_the_first_one_after_the_day(day):
    following = next_session(day)
    assert following > day
    assert is_session(following)
    between = [day + timedelta(days=n) for n in range(1, (following - day).days)]
    assert not any(map(is_session, between))


@given(days, st.integers(0, 400), st.integers(0, 400))
def test_sessions_of_two_spans_make_those_of_the_whole(first, one, two):
    middle, last = first + timedelta(days=one), first + timedelta(days=one + two + 1)
    parts = [xnys_sessions(first, middle), xnys_sessions(middle + timedelta(days=1), last)]
    assert pl.concat(parts).equals(xnys_sessions(first, last))


def test_a_closed_day_is_refused_with_the_next_session():
    with pytest.raises(NoSuchSession, match=r"2018-12-05 .* 2018-12-06"):
        session_known_at(date(2018, 12, 5))
    assert session_known_at(date(2018, 12, 6)) == utc("2018-12-06T21:15")


def test_days_outside_the_calendar_are_refused():
    with pytest.raises(NoSuchSession, match="1926-12-31"):
        xnys_sessions(date(1926, 12, 31), date(1990, 1, 1))
    with pytest.raises(NoSuchSession, match="2046-01-01"):
        is_session(date(2046, 1, 1))
    with pytest.raises(NoSuchSession, match="2046-01-01"):
        next_session(date(2045, 12, 29))
