"""Vintages as ALFRED tells them, with the instants at which they were released."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from servers import World

from riskcast.core.errors import SourceError, SourceMalformed
from riskcast.core.window import Window
from riskcast.sources import fred
from riskcast.sources.releases import next_business_day

YEAR = Window(datetime(2023, 6, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))


def series(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.filter(series_id=name).sort("release_datetime", "macro_value_date")


def test_every_vintage_is_a_row_at_the_instant_of_its_release(live):
    rows = series(live().fetch_macro(YEAR), "UNRATE")
    told = rows.select("macro_value_date", "release_datetime", "value").rows()
    assert told == [
        (date(2023, 12, 1), datetime(2024, 1, 5, 13, 30, tzinfo=UTC), 3.7),
        (date(2024, 1, 1), datetime(2024, 2, 2, 13, 30, tzinfo=UTC), 3.7),
        (date(2024, 1, 1), datetime(2024, 3, 8, 13, 30, tzinfo=UTC), 3.8),
        (date(2024, 2, 1), datetime(2024, 3, 8, 13, 30, tzinfo=UTC), 3.9),
        (date(2024, 3, 1), datetime(2024, 4, 5, 12, 30, tzinfo=UTC), 3.8),  # summer time
        (date(2024, 4, 1), datetime(2024, 5, 3, 12, 30, tzinfo=UTC), 3.9),
    ]
    assert rows["known_at"].equals(rows["release_datetime"])
    assert rows["source"].unique().to_list() == ["alfred"]


def test_a_window_holds_what_was_published_in_it_and_no_carried_value(live):
    """ALFRED dates a value that was valid before the period asked for to the period's start."""
    day = Window(datetime(2024, 3, 7, 22, 5, tzinfo=UTC), datetime(2024, 3, 8, 22, 5, tzinfo=UTC))
    rows = series(live().fetch_macro(day), "UNRATE")
    assert rows["macro_value_date"].to_list() == [date(2024, 1, 1), date(2024, 2, 1)]


def test_two_windows_give_what_one_gives(live):
    source = live()
    cut = datetime(2024, 3, 8, 13, 30, tzinfo=UTC)
    parts = pl.concat(
        [source.fetch_macro(Window(YEAR.start, cut)), source.fetch_macro(Window(cut, YEAR.end))]
    )
    whole = source.fetch_macro(YEAR)
    assert parts.sort(pl.all()).equals(whole.sort(pl.all()))


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_asking_in_parts_changes_nothing(live, monkeypatch, at_once):
    whole = live().fetch_macro(YEAR)
    monkeypatch.setattr(fred, "VINTAGES_AT_ONCE", at_once)
    assert live().fetch_macro(YEAR).equals(whole)


def test_more_vintages_than_alfred_gives_at_once_are_all_fetched(live, world):
    first = date(2008, 1, 2)
    days = [first + timedelta(days=i) for i in range(2500)]
    world.vintages["UNRATE"] = [
        (date(2008, 1 + i % 12, 1), day, str(i % 40 / 10)) for i, day in enumerate(days)
    ]
    window = Window(datetime(2008, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    assert series(live().fetch_macro(window), "UNRATE").height == 2500


def test_answers_in_pages_are_put_together(live, world, monkeypatch):
    whole = live().fetch_macro(YEAR)
    monkeypatch.setattr(fred, "ROWS_AT_ONCE", 100)
    world.asked.clear()
    assert live().fetch_macro(YEAR).equals(whole)
    assert sum("series_id=DFF" in target for target in world.asked) == 6  # 522 rows


def test_a_server_that_counts_wrong_is_malformed(live, world):
    world.fault, world.only = "a session short", "series_id=DFF"
    with pytest.raises(SourceMalformed, match=r"DFF: 522 observations announced, \d+ sent"):
        live().fetch_macro(YEAR)


def test_daily_values_count_from_the_next_business_day(live):
    rows = live().fetch_macro(YEAR)

    def released(name: str, day: str) -> datetime:
        about = rows.filter(series_id=name, macro_value_date=date.fromisoformat(day))
        return about["release_datetime"].item()

    assert released("DGS10", "2024-03-08") == datetime(2024, 3, 11, 20, 15, tzinfo=UTC)
    assert released("DFF", "2024-03-08") == datetime(2024, 3, 11, 13, 0, tzinfo=UTC)
    assert released("BAMLH0A0HYM2", "2024-03-07") == datetime(2024, 3, 8, 15, 0, tzinfo=UTC)
    # The Friday before Columbus Day: stocks trade on Monday, the Board publishes on Tuesday.
    assert released("DGS2", "2023-10-06") == datetime(2023, 10, 10, 20, 15, tzinfo=UTC)


def test_the_board_publishes_on_no_federal_holiday():
    assert next_business_day(date(2022, 11, 10)) == date(2022, 11, 14)  # Veterans Day
    assert next_business_day(date(2023, 4, 6)) == date(2023, 4, 10)  # Good Friday, no session


def test_a_dot_is_no_value(live):
    rows = live().fetch_macro(YEAR)
    assert rows.filter(series_id="DFF", macro_value_date=date(2024, 1, 1)).is_empty()
    assert rows.filter(series_id="DFF", macro_value_date=date(2024, 1, 2)).height == 1


def test_a_vintage_that_only_says_there_is_no_value_adds_none(live, world):
    """As for October 2025: the month is listed with a dot and never gets a value."""
    world.vintages["UNRATE"].append((date(2024, 5, 1), date(2024, 5, 20), "."))
    day = Window(datetime(2024, 5, 19, tzinfo=UTC), datetime(2024, 5, 21, tzinfo=UTC))
    assert series(live().fetch_macro(day), "UNRATE").is_empty()


def test_the_pmi_counts_from_ten_on_the_first_session_of_the_next_month(live):
    rows = series(live().fetch_macro(YEAR), "ISM_MAN_PMI")
    told = dict(rows.select("macro_value_date", "release_datetime").rows())
    assert told == {
        date(2023, 12, 1): datetime(2024, 1, 2, 15, 0, tzinfo=UTC),
        date(2024, 1, 1): datetime(2024, 2, 1, 15, 0, tzinfo=UTC),
        date(2024, 2, 1): datetime(2024, 3, 1, 15, 0, tzinfo=UTC),
        date(2024, 3, 1): datetime(2024, 4, 1, 14, 0, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("month,value\n2024-01-01,49.1\n2024-02-01,147.8\n", "147.8"),
        ("month,value\n2024-01-15,49.1\n", "2024-01-15"),
        ("month,value\n2024-01-01,49.1\n2024-01-01,49.2\n", "twice"),
        ("month,value\n2024-01-01,\n", "empty"),
        ("month,points\n2024-01-01,49\n", "lacks column value"),
    ],
)
def test_a_file_of_the_pmi_is_read_strictly(live, tmp_path, text, said):
    path = tmp_path / "pmi.csv"
    path.write_text(text)
    source = live()
    source.settings = replace(source.settings, pmi_url=str(path))
    with pytest.raises(SourceError, match=said):
        source.fetch_macro(YEAR)


def test_a_good_file_of_the_pmi_stands_in_for_dbnomics(live, world, tmp_path):
    path = tmp_path / "pmi.csv"
    path.write_text("month,value\n2024-01-01,49.1\n2024-02-01,47.8\n")
    source = live()
    source.settings = replace(source.settings, pmi_url=str(path))
    rows = series(source.fetch_macro(YEAR), "ISM_MAN_PMI")
    assert rows["value"].to_list() == [49.1, 47.8]
    assert rows["source"].unique().to_list() == ["file"]
    assert not [target for target in world.asked if "ISM" in target]


@pytest.mark.bench_data
def test_every_real_vintage_of_unemployment_comes_through(live, world: World):
    """The whole of ALFRED's UNRATE, served by its protocol and fetched back."""
    folder = os.environ.get("RISKCAST_BENCH_DATA")
    if not folder:
        pytest.skip("RISKCAST_BENCH_DATA names no folder")
    real = (
        pl.read_parquet(Path(folder) / "macro.parquet")
        .filter(series_id="UNRATE")
        .select(pl.col("macro_value_date").cast(pl.Date), "release_datetime", "value")
        .sort("release_datetime", "macro_value_date")
    )
    days = real["release_datetime"].dt.convert_time_zone("America/New_York").dt.date()
    world.vintages["UNRATE"] = list(
        zip(real["macro_value_date"], days, map(str, real["value"]), strict=True)
    )
    ever = Window(datetime(1940, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    rows = series(live().fetch_macro(ever), "UNRATE")
    fetched = rows.select("macro_value_date", "release_datetime", "value")
    # A vintage that repeats the value before it is none.
    changed = real.sort("macro_value_date", "release_datetime").filter(
        (pl.col("value") != pl.col("value").shift(1).over("macro_value_date")).fill_null(True)
    )
    assert fetched.height > 1900
    same = changed.sort("release_datetime", "macro_value_date")
    assert fetched["macro_value_date"].equals(same["macro_value_date"])
    assert fetched["value"].equals(same["value"])
    gap = (fetched["release_datetime"] - same["release_datetime"]).dt.total_seconds()
    assert gap.abs().max() == 0
