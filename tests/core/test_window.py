from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.core.clock import Clock
from riskcast.core.errors import SettingsError
from riskcast.core.window import Window

instants = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001  Hypothesis adds the zone
    datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(instants, instants, instants)
def test_adjoining_windows_hold_each_instant_exactly_once(a, b, c):
    start, middle, end = sorted((a, b, c))
    if start < middle < end:
        whole, first, second = Window(start, end), Window(start, middle), Window(middle, end)
        for instant in (start, middle, end, start + (end - start) / 3):
            held = first.holds(instant) + second.holds(instant)
            assert held == whole.holds(instant) <= 1


def test_a_bare_end_date_includes_its_day():
    window = Window.parse("2018-12-31", "2018-12-31")
    assert window.end - window.start == timedelta(days=1)
    assert window.holds(datetime(2018, 12, 31, 21, 15, tzinfo=UTC))


def test_an_instant_is_read_with_its_zone():
    window = Window.parse("2018-01-02T17:00:00-05:00", "2018-01-03T22:05:00+00:00")
    assert window.start == datetime(2018, 1, 2, 22, tzinfo=UTC)


@pytest.mark.parametrize(("start", "end"), [("2018-01-02", "2018-01-01"), ("soon", "2018-01-01")])
def test_an_empty_or_unreadable_window_is_refused(start, end):
    with pytest.raises(SettingsError):
        Window.parse(start, end)


def test_a_naive_instant_is_refused():
    with pytest.raises(SettingsError, match="time zone"):
        Window(datetime(2018, 1, 1), datetime(2018, 1, 2, tzinfo=UTC))  # noqa: DTZ001


def test_the_sample_clock_stands_still():
    at = datetime(2018, 12, 31, 21, 15, tzinfo=UTC)
    assert Clock.sample(at).now() == at
    assert Clock().now() > at
