from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transform_rows import macro, vintage

from riskcast.core.window import Window
from riskcast.transforms.late import with_late_arrivals

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, 22, tzinfo=UTC)
LOOK_BACK = 10 * DAY


def news(number: int, value: float | None = None, series: str = "DGS10") -> dict[str, object]:
    """The value of one day, released the day after."""
    about = date(2024, 1, 1) + number * DAY
    released = f"{about + DAY}T20:15"
    return vintage(series, str(about), released, number if value is None else value, "D")


def window(number: int) -> Window:
    return Window(START + number * DAY, START + (number + 1) * DAY)


def run(fetched: list[dict], stored: pl.DataFrame, at: Window) -> pl.DataFrame:
    """One run: what the source says by now, beside what the lake holds."""
    known = macro(*fetched).filter(
        (pl.col("known_at") > at.start - LOOK_BACK) & (pl.col("known_at") <= at.end)
    )
    new = with_late_arrivals(
        known,
        stored.filter(pl.col("known_at") <= at.end),
        at,
        group="series_id",
        payload=("series_id", "macro_value_date", "value"),
        at="release_datetime",
    )
    fresh = new.join(stored, on=["series_id", "macro_value_date", "release_datetime"], how="anti")
    return pl.concat([stored, fresh])


EMPTY = macro()


def test_what_is_on_time_passes_as_it_is():
    lake = EMPTY
    for n in range(5):
        lake = run([news(i) for i in range(n + 1)], lake, window(n))
    assert lake.equals(macro(*(news(n) for n in range(5))))


def test_a_value_that_missed_its_window_is_known_from_the_next_run():
    lake = run([news(0)], EMPTY, window(0))
    lake = run([news(0)], lake, window(1))  # the value of day 1 is not there yet
    lake = run([news(n) for n in range(3)], lake, window(2))
    late = lake.filter(macro_value_date=date(2024, 1, 2))
    assert late["release_datetime"].to_list() == [window(2).end]
    assert late["known_at"].to_list() == [window(2).end]
    assert lake.height == 3


def test_a_late_value_arrives_once():
    lake = run([news(0)], EMPTY, window(0))
    for n in (2, 2, 3, 4):
        lake = run([news(i) for i in range(n + 1)], lake, window(n))
    assert lake.filter(macro_value_date=date(2024, 1, 2)).height == 1
    assert lake.height == 5


def test_a_revision_without_a_vintage_is_known_when_first_read():
    lake = run([news(0)], EMPTY, window(0))
    lake = run([news(0, 9.9), news(1)], lake, window(1))
    told = lake.filter(macro_value_date=date(2024, 1, 1)).sort("known_at")
    assert told["value"].to_list() == [0.0, 9.9]
    assert told["known_at"][1] == window(1).end


def test_history_from_before_the_lake_is_not_late():
    lake = run([news(n) for n in range(6)], EMPTY, window(5))
    assert lake["macro_value_date"].to_list() == [date(2024, 1, 6)]
    lake = run([news(n) for n in range(7)], lake, window(6))
    assert lake.height == 2


def test_a_series_nobody_followed_brings_no_history():
    lake = run([news(n) for n in range(3)], EMPTY, window(2))
    both = [news(n, series=s) for s in ("DGS10", "DGS2") for n in range(4)]
    lake = run(both, lake, window(3))
    assert lake.filter(series_id="DGS2")["macro_value_date"].to_list() == [date(2024, 1, 4)]


def by_official_instant(fetched, stored, at, *, group, payload, at_column):
    """Planted: a late value counts from its official release, as if it had been there."""
    return fetched


@given(st.lists(st.integers(0, 4), min_size=8, max_size=8))
def test_a_late_value_changes_no_past_day(delays):
    """Whatever is late, no row known by a past run's end is added or changed afterwards."""
    lake, seen = EMPTY, []
    for n in range(8):
        there = [news(i) for i in range(n + 1) if i + delays[i] <= n]
        lake = run(there, lake, window(n))
        seen.append((window(n).end, lake))
    for end, then in seen:
        assert lake.filter(pl.col("known_at") <= end).sort(pl.all()).equals(then.sort(pl.all()))
    # Nothing is lost but what preceded the first value ever seen.
    first = min((lake["macro_value_date"].min(),) if lake.height else (date.max,))
    expected = {
        about
        for i in range(8)
        if (about := date(2024, 1, 1) + i * DAY) >= first and i + delays[i] <= 7
    }
    assert set(lake["macro_value_date"]) == expected


def test_the_check_catches_a_late_value_dated_back():
    lake = run([news(0)], EMPTY, window(0))
    lake = run([news(0)], lake, window(1))
    then = lake
    leaked = pl.concat([lake, macro(news(1))])
    assert not leaked.filter(pl.col("known_at") <= window(1).end).equals(then)


@pytest.mark.parametrize("moved", [5, 29])
def test_a_release_moved_at_short_notice_is_known_from_the_run_that_reads_it(moved):
    def due(day: datetime) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "event": ["cpi"],
                "ref_period": pl.Series([None], dtype=pl.Date),
                "release_datetime": pl.Series([day], dtype=pl.Datetime("us", "UTC")),
                "known_at": pl.Series([day - 30 * DAY], dtype=pl.Datetime("us", "UTC")),
                "source": ["fred.releases"],
            }
        )

    stored = due(START - 10 * DAY)
    at = window(3)
    out = with_late_arrivals(
        due(at.end + moved * DAY),
        stored,
        at,
        group="event",
        payload=("event", "release_datetime"),
        at="known_at",
    )
    assert out["known_at"].to_list() == [at.end]
    assert out["release_datetime"].to_list() == [at.end + moved * DAY]
