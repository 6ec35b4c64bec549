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


def run(
    fetched: list[dict], stored: pl.DataFrame, at: Window, arrive=with_late_arrivals
) -> pl.DataFrame:
    """One run: what the source says by now, beside what the lake holds."""
    known = macro(*fetched).filter(
        (pl.col("known_at") > at.start - LOOK_BACK) & (pl.col("known_at") <= at.end)
    )
    new = arrive(
        known,
        stored,
        at,
        group="series_id",
        payload=("series_id", "macro_value_date", "value"),
        at="release_datetime",
    )
    key = ["series_id", "macro_value_date", "release_datetime"]
    return pl.concat([stored, new]).unique(key, keep="last", maintain_order=True)  # an upsert


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


def test_a_past_window_run_again_learns_nothing_of_revisions_or_late_values():
    def other(last: int) -> list[dict]:
        return [news(n, series="DGS2") for n in range(last + 1)]

    lake = run([news(0), *other(0)], EMPTY, window(0))
    lake = run([news(0), *other(1)], lake, window(1))  # the value of day 1 comes with day 2
    for n in (2, 3):
        lake = run([*(news(i) for i in range(n + 1)), *other(n)], lake, window(n))
    revised = [news(0, 9.9), news(1, 8.8), news(2, 7.7), news(3), *other(3)]
    for n in (1, 2, 0):
        assert run(revised, lake, window(n)).equals(lake)
    assert run(revised, lake, window(3)).height == lake.height + 3


def test_a_series_followed_later_is_backfilled_beside_closed_ones():
    lake = run([news(0)], EMPTY, window(0))
    for n in (1, 2):
        lake = run([news(i) for i in range(n + 1)], lake, window(n))
    both = [news(i, value, s) for s, value in (("DGS10", 9.9), ("DGS2", 1.1)) for i in range(3)]
    again = run(both, lake, window(1))
    assert again.filter(series_id="DGS10").equals(lake)
    assert again.filter(series_id="DGS2")["macro_value_date"].to_list() == [date(2024, 1, 2)]


def test_a_window_never_run_is_backfilled_with_what_was_on_time_then():
    lake = run([news(0)], EMPTY, window(0))
    lake = run([news(3)], lake, window(3))
    lake = run([news(n) for n in range(4)], lake, window(2))
    assert sorted(lake["known_at"]) == sorted(macro(news(0), news(2), news(3))["known_at"])


def test_a_value_revised_within_its_own_window_is_one_more_vintage():
    lake = run([news(0)], EMPTY, window(0))
    lake = run([news(0, 9.9)], lake, window(0))
    assert lake["value"].to_list() == [0.0, 9.9]
    assert lake["known_at"].to_list() == [macro(news(0))["known_at"][0], window(0).end]
    assert run([news(0, 9.9)], lake, window(0)).equals(lake)


def dated_back(fetched, stored, window, **_):
    """Planted: a late value counts from its official release, as if it had been there."""
    return fetched.filter(pl.col("known_at") > window.start - LOOK_BACK)


def day_by_day(delays: list[int], arrive=with_late_arrivals) -> list[tuple[datetime, pl.DataFrame]]:
    """Return each run's end and the lake after it, value n arriving delays[n] days late."""
    lake, seen = EMPTY, []
    for n in range(len(delays)):
        there = [news(i) for i in range(n + 1) if i + delays[i] <= n]
        lake = run(there, lake, window(n), arrive)
        seen.append((window(n).end, lake))
    return seen


def past_changed(seen: list[tuple[datetime, pl.DataFrame]]) -> bool:
    """Whether a run added or changed what was known by the end of one before it."""
    last = seen[-1][1]
    return any(
        not last.filter(pl.col("known_at") <= end).sort(pl.all()).equals(then.sort(pl.all()))
        for end, then in seen
    )


@given(st.lists(st.integers(0, 4), min_size=8, max_size=8))
def test_a_late_value_is_not_lost_and_changes_no_past_day(delays):
    seen = day_by_day(delays)
    assert not past_changed(seen)
    have = set(seen[-1][1]["macro_value_date"])
    there = {date(2024, 1, 1) + i * DAY for i in range(8) if i + delays[i] <= 7}
    # What preceded the first value ever read is history that was never asked for.
    assert have == {about for about in there if have and about >= min(have)}


def test_the_check_catches_a_late_value_dated_back():
    assert past_changed(day_by_day([0, 2, 0, 0], dated_back))


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
