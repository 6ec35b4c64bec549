"""When releases are due, and from when on that is known."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from source_rows import ALL, write_csv

from riskcast.core.errors import SourceMalformed
from riskcast.core.window import Window
from riskcast.sources import FilesSource, SampleSource
from riskcast.sources.schedule import fomc_decisions

MARCH = Window(datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))


def at(rows: pl.DataFrame, event: str) -> list[datetime]:
    return rows.filter(event=event).sort("release_datetime")["release_datetime"].to_list()


def test_the_official_schedule_is_known_a_month_ahead(live):
    rows = live().fetch_calendar(MARCH)
    assert at(rows, "cpi") == [datetime(2024, 3, 12, 12, 30, tzinfo=UTC)]  # summer time
    assert at(rows, "nfp") == [datetime(2024, 3, 8, 13, 30, tzinfo=UTC)]
    assert at(rows, "ism_pmi") == [datetime(2024, 3, 1, 15, 0, tzinfo=UTC)]
    assert at(rows, "fomc_decision") == [datetime(2024, 3, 20, 18, 0, tzinfo=UTC)]
    assert rows["known_at"].equals(rows["release_datetime"] - timedelta(days=30))
    pmi = rows.filter(event="ism_pmi")
    assert pmi["ref_period"].to_list() == [date(2024, 2, 1)]


def test_two_windows_of_the_schedule_give_what_one_gives(live):
    source = live()
    cut = datetime(2024, 2, 9, 15, 0, tzinfo=UTC)
    parts = pl.concat(
        [
            source.fetch_calendar(Window(MARCH.start, cut)),
            source.fetch_calendar(Window(cut, MARCH.end)),
        ]
    )
    assert parts.sort(pl.all()).equals(source.fetch_calendar(MARCH).sort(pl.all()))


def test_the_fomc_speaks_at_the_time_of_its_day():
    rows = fomc_decisions()
    local = rows["release_datetime"].dt.convert_time_zone("America/New_York")
    clock = dict(zip(local.dt.date(), local.dt.strftime("%H:%M"), strict=True))
    assert clock[date(2008, 12, 16)] == "14:15"
    assert clock[date(2011, 4, 27)] == "12:30"  # the first press conference
    assert clock[date(2013, 1, 30)] == "14:15"
    assert clock[date(2013, 3, 20)] == "14:00"
    assert clock[date(2022, 9, 21)] == "14:00"
    per_year = local.dt.year().value_counts().sort("release_datetime")
    assert per_year["release_datetime"].to_list() == list(range(2000, 2028))
    # The meeting of March 2020 was held ahead of its date.
    assert dict(per_year.rows()) == {y: 7 if y == 2020 else 8 for y in range(2000, 2028)}
    assert local.dt.weekday().is_between(1, 5).all()


def test_the_sample_s_calendar_follows_the_rules_of_its_values():
    sample = SampleSource()
    calendar, macro = sample.fetch_calendar(ALL), sample.fetch_macro(ALL)
    for event, series in (("cpi", "CPILFESL"), ("nfp", "UNRATE"), ("ism_pmi", "ISM_MAN_PMI")):
        released = macro.filter(
            (pl.col("series_id") == series) & (pl.col("macro_value_date") >= date(1989, 1, 1))
        )
        due = calendar.filter(event=event)
        missing = released.join(
            due,
            left_on=["macro_value_date", "release_datetime"],
            right_on=["ref_period", "release_datetime"],
            how="anti",
        )
        assert released.height > 300
        assert missing.is_empty()


def test_an_earlier_sample_knows_the_same_calendar_up_to_then():
    short, whole = SampleSource(last=date(2012, 3, 1)), SampleSource()
    known = Window(ALL.start, short.end)
    assert short.fetch_calendar(ALL).equals(whole.fetch_calendar(known))


CALENDAR_CSV = """\
event,detail,ref_month,release_datetime,source
cpi,Consumer Price Index release,2018-05-01,2018-06-12T12:30:00Z,bls
fomc_decision,,,2018-06-13T18:00:00Z,fed
cpi,,2027-01-01,2027-02-10T13:30:00Z,
"""


def test_files_may_bring_a_calendar(tmp_path):
    folder = write_csv(tmp_path / "data")
    assert FilesSource(folder, "SPY").fetch_calendar(ALL).is_empty()
    (folder / "release_calendar.csv").write_text(
        CALENDAR_CSV.replace("2027-02-10T13:30:00Z,", "2027-02-10T13:30:00Z,bls")
    )
    rows = FilesSource(folder, "SPY").fetch_calendar(ALL)
    assert rows["ref_period"].to_list() == [date(2018, 5, 1), None, date(2027, 1, 1)]
    assert rows["known_at"][0] == datetime(2018, 5, 13, 12, 30, tzinfo=UTC)
    assert rows["source"].to_list() == ["bls", "fed", "bls"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2018-06-13T18:00:00Z", "2018-06-13", "line 3, column release_datetime"),
        ("fomc_decision", "", "line 3, column event"),
        ("2027-02-10", "2127-02-10", "lies ahead"),
        ("fomc_decision,,,2018-06-13T18", "cpi,,,2018-06-12T12:3", "release_datetime"),
    ],
)
def test_a_calendar_that_is_wrong_names_line_and_column(tmp_path, old, new, said):
    folder = write_csv(tmp_path / "data")
    assert old in CALENDAR_CSV
    (folder / "release_calendar.csv").write_text(CALENDAR_CSV.replace(old, new))
    with pytest.raises(SourceMalformed, match=said):
        FilesSource(folder, "SPY").fetch_calendar(ALL)


@pytest.mark.bench_data
def test_real_first_prints_of_inflation_and_jobs_are_released_when_the_calendar_says():
    folder = os.environ.get("RISKCAST_BENCH_DATA")
    if not folder:
        pytest.skip("RISKCAST_BENCH_DATA names no folder")
    source = FilesSource(Path(folder), "SPY")
    calendar, macro = source.fetch_calendar(ALL), source.fetch_macro(ALL)
    for event, series in (("cpi", "CPIAUCSL"), ("nfp", "UNRATE")):
        first = (
            macro.filter(pl.col("series_id") == series)
            .group_by("macro_value_date")
            .agg(pl.col("release_datetime").min())
        )
        both = calendar.filter(event=event).join(
            first, left_on="ref_period", right_on="macro_value_date", suffix="_of_value"
        )
        assert both.height >= 270
        late = both.filter(pl.col("release_datetime") != pl.col("release_datetime_of_value"))
        print(f"{event}: {both.height} releases, {late.height} differ")  # noqa: T201
        assert late.is_empty()


@pytest.mark.bench_data
def test_the_shipped_fomc_dates_are_those_of_the_real_calendar():
    folder = os.environ.get("RISKCAST_BENCH_DATA")
    if not folder:
        pytest.skip("RISKCAST_BENCH_DATA names no folder")
    real = FilesSource(Path(folder), "SPY").fetch_calendar(ALL).filter(event="fomc_decision")
    ours = fomc_decisions()
    assert (
        real["release_datetime"].dt.date().sort().equals(ours["release_datetime"].dt.date().sort())
    )
