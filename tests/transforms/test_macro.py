from __future__ import annotations

from datetime import date, datetime, timedelta
from statistics import mean, stdev

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_rows import changed_by_perturbation, changed_by_truncation, macro, utc, vintage

from riskcast.tables.silver import MACRO_ALIGNED
from riskcast.transforms.macro import align_macro
from riskcast.transforms.sessions import xnys_sessions

YEAR = xnys_sessions(date(2018, 1, 1), date(2018, 12, 31))


def at(rows: pl.DataFrame, day: str) -> dict[str, object]:
    return rows.row(by_predicate=pl.col("date") == date.fromisoformat(day), named=True)


def test_there_is_one_row_per_session_with_the_columns_of_the_table():
    rows = align_macro(macro(), YEAR)
    names = [column.name for column in MACRO_ALIGNED.every_column if column.name != "ingested_at"]
    assert rows.columns == names
    assert rows["date"].to_list() == YEAR["session"].to_list()
    assert rows["known_at"].to_list() == YEAR["known_at"].to_list()
    assert rows["as_of_release"].null_count() == rows.height


def test_a_monthly_value_counts_from_the_session_after_its_release():
    raw = macro(
        vintage("UNRATE", "2018-05-01", "2018-06-01T12:30", 3.8),  # Friday, 08:30 summer time
        vintage("UNRATE", "2018-06-01", "2018-07-06T12:30", 4.0),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-01")["unemp"] is None
    assert at(rows, "2018-06-04")["unemp"] == 3.8
    assert at(rows, "2018-06-04")["as_of_release"] == utc("2018-06-01T12:30")
    assert at(rows, "2018-07-06")["unemp"] == 3.8
    assert at(rows, "2018-07-09")["unemp"] == 4.0


def test_the_day_of_a_release_is_the_day_in_new_york():
    # 02:00 UTC on Thursday the 14th is still Wednesday in New York.
    rows = align_macro(macro(vintage("UNRATE", "2018-05-01", "2018-06-14T02:00", 3.8)), YEAR)
    assert at(rows, "2018-06-13")["unemp"] is None
    assert at(rows, "2018-06-14")["unemp"] == 3.8


def test_a_daily_value_counts_from_the_session_known_at_or_after_its_release():
    raw = macro(
        vintage("DFF", "2018-06-28", "2018-06-29T20:15", 1.91, "D"),  # with the session's bar
        vintage("DFF", "2018-06-29", "2018-07-02T20:16", 1.92, "D"),  # a minute late
        vintage("DFF", "2018-07-02", "2018-07-03T20:15", 1.93, "D"),  # half day: known 17:15
    )
    rows = align_macro(raw, YEAR)
    used = {day: at(rows, day)["ffr"] for day in ("2018-06-29", "2018-07-02", "2018-07-03")}
    assert used == {"2018-06-29": 1.91, "2018-07-02": 1.91, "2018-07-03": 1.92}
    assert at(rows, "2018-07-05")["ffr"] == 1.93


def test_values_grow_stale():
    raw = macro(
        vintage("UNRATE", "2018-05-01", "2018-06-01T12:30", 3.8),
        vintage("DFF", "2018-06-01", "2018-06-04T13:00", 1.7, "D"),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-11")["ffr"] == 1.7  # ten days
    assert at(rows, "2018-06-12")["ffr"] is None
    assert at(rows, "2018-08-14")["unemp"] == 3.8  # 75 days after the end of May
    assert at(rows, "2018-08-15")["unemp"] is None
    assert at(rows, "2018-08-15")["as_of_release"] is None


def test_a_revision_changes_later_rows_only():
    raw = macro(
        vintage("UNRATE", "2018-05-01", "2018-06-01T12:30", 3.8),
        vintage("UNRATE", "2018-05-01", "2018-06-20T12:30", 3.9),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-20")["unemp"] == 3.8
    assert at(rows, "2018-06-21")["unemp"] == 3.9


def test_a_revision_of_an_older_period_leaves_the_newest_value():
    raw = macro(
        vintage("DFF", "2018-06-01", "2018-06-04T13:00", 1.7, "D"),
        vintage("DFF", "2018-06-04", "2018-06-05T13:00", 1.8, "D"),
        vintage("DFF", "2018-06-01", "2018-06-06T13:00", 9.9, "D"),
    )
    assert at(align_macro(raw, YEAR), "2018-06-07")["ffr"] == 1.8


def test_inflation_compares_with_the_month_a_year_before():
    raw = macro(
        vintage("CPIAUCSL", "2017-05-01", "2017-06-14T12:30", 200.0),
        vintage("CPIAUCSL", "2018-05-01", "2018-06-12T12:30", 205.0),
        vintage("DFF", "2018-06-12", "2018-06-13T13:00", 1.7, "D"),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-12")["cpi_yoy"] is None
    assert at(rows, "2018-06-13")["cpi_yoy"] == pytest.approx(2.5)
    assert at(rows, "2018-06-13")["ffr_real"] == pytest.approx(-0.8)


def test_a_preferred_series_takes_over_when_it_first_speaks():
    core = [("2017-05-01", "2017-06-14T12:30", 100.0), ("2018-05-01", "2018-06-12T12:30", 102.0)]
    headline = [
        ("2017-06-01", "2017-07-14T12:30", 100.0),
        ("2018-06-01", "2018-07-12T12:30", 103.0),
    ]
    raw = macro(
        *(vintage("CPILFESL", *row) for row in core),
        *(vintage("CPIAUCSL", *row) for row in headline),
        vintage("FEDFUNDS", "2018-05-01", "2018-06-04T20:15", 1.70),
        vintage("FEDFUNDS", "2018-06-01", "2018-07-03T20:15", 1.80),
        vintage("DFF", "2018-06-12", "2018-06-13T13:00", 1.75, "D"),
        vintage("DFF", "2018-07-10", "2018-07-11T13:00", 1.90, "D"),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-07-12")["cpi_yoy"] == pytest.approx(2.0)
    assert at(rows, "2018-07-13")["cpi_yoy"] == pytest.approx(3.0)
    assert [at(rows, f"2018-06-{day}")["ffr"] for day in (12, 13)] == [1.70, 1.75]
    assert at(rows, "2018-07-05")["ffr"] is None  # stale, and no way back to the average
    assert at(rows, "2018-07-11")["ffr"] == 1.90


def test_the_slope_takes_both_yields_of_one_day():
    raw = macro(
        vintage("DGS10", "2018-06-01", "2018-06-04T20:15", 2.9, "D"),
        vintage("DGS2", "2018-06-01", "2018-06-04T20:15", 2.5, "D"),
        vintage("DGS10", "2018-06-04", "2018-06-05T20:15", 3.4, "D"),
        vintage("DGS2", "2018-06-04", "2018-06-07T20:15", 2.7, "D"),
    )
    rows = align_macro(raw, YEAR)
    assert [at(rows, f"2018-06-0{day}")["slope_10y_2y"] for day in (4, 5, 6, 7)] == pytest.approx(
        [0.4, 0.4, 0.4, 0.7]
    )


def test_the_slope_takes_the_newest_vintages_of_both_yields():
    raw = macro(
        vintage("DGS10", "2018-06-01", "2018-06-04T20:15", 2.9, "D"),
        vintage("DGS2", "2018-06-01", "2018-06-05T20:15", 2.5, "D"),
        vintage("DGS10", "2018-06-01", "2018-06-06T20:15", 3.0, "D"),
        vintage("DGS2", "2018-06-01", "2018-06-06T20:15", 2.0, "D"),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-04")["slope_10y_2y"] is None
    assert at(rows, "2018-06-05")["slope_10y_2y"] == pytest.approx(0.4)
    assert at(rows, "2018-06-06")["slope_10y_2y"] == pytest.approx(1.0)


def monthly(count: int, last: date = date(2018, 5, 1)) -> list[tuple[date, float]]:
    months = pl.date_range(last.replace(year=2000), last, "1mo", eager=True).to_list()[-count:]
    return [(month, 50.0 + (7 * n) % 11) for n, month in enumerate(months)]


def survey(values: list[tuple[date, float]]) -> pl.DataFrame:
    return macro(
        *(
            vintage("ISM_MAN_PMI", str(month), f"{month + timedelta(days=35)}T15:00", value)
            for month, value in values
        )
    )


@pytest.mark.parametrize("count", [59, 60, 120, 150])
def test_a_z_score_needs_60_months_and_takes_120(count):
    values = monthly(count)
    row = at(align_macro(survey(values), YEAR), "2018-06-20")
    window = [value for _, value in values][-120:]
    expected = (window[-1] - mean(window)) / stdev(window)
    assert row["ism_pmi_z"] == (None if count < 60 else pytest.approx(expected))


def test_a_constant_series_has_no_z_score():
    flat = [(month, 50.0) for month, _ in monthly(80)]
    assert at(align_macro(survey(flat), YEAR), "2018-06-20")["ism_pmi_z"] is None


def test_a_row_with_a_simulated_input_says_so():
    raw = macro(
        vintage("UNRATE", "2018-05-01", "2018-06-01T12:30", 3.8),
        vintage("DFF", "2018-06-11", "2018-06-12T13:00", 1.7, "D", source="simulated"),
    )
    rows = align_macro(raw, YEAR)
    assert at(rows, "2018-06-11")["source"] == "derived"
    assert at(rows, "2018-06-12")["source"] == "simulated"
    assert at(rows, "2018-06-29")["source"] == "derived"  # the simulated rate is stale


# Nothing known after a cut may change a row known by then.

SESSIONS = xnys_sessions(date(2010, 1, 1), date(2011, 6, 30))


def releases() -> pl.DataFrame:
    """Monthly series with revisions from 2000, one beginning late, and daily yields."""
    rng = np.random.default_rng(3)
    rows = []
    months = pl.date_range(date(2000, 1, 1), date(2011, 5, 1), "1mo", eager=True).to_list()
    for n, month in enumerate(months):
        released = datetime.combine(month + timedelta(days=36), datetime.min.time())
        first, revised = (f"{released + timedelta(days=d, hours=13)}" for d in (0, 45))
        rows.append(vintage("UNRATE", str(month), first, 6 + rng.standard_normal()))
        rows.append(vintage("UNRATE", str(month), revised, 6 + rng.standard_normal()))
        rows.append(vintage("CPILFESL", str(month), first, 100 * 1.002**n + rng.random()))
        if n >= 124:  # its first change on the year comes in June 2011
            rows.append(vintage("CPIAUCSL", str(month), first, 300 * 1.003**n + rng.random()))
    for day in SESSIONS["session"]:
        released = f"{day + timedelta(days=1)}T20:15"
        rows += [
            vintage(name, str(day), released, 2 + rng.random(), "D")
            for name in ("DFF", "DGS2", "DGS10")
            if rng.random() < 0.9
        ]
    return macro(*rows)


RAW = releases()
cuts = st.integers(0, 545 * 24).map(lambda hours: utc("2010-01-01T00:00") + timedelta(hours=hours))


def by_value_date(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: values count from the period they are about."""
    instant = pl.col("macro_value_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return align_macro(raw.with_columns(release_datetime=instant), sessions)


def by_last_vintage(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: the final value in place of the first print."""
    final = pl.col("value").sort_by("release_datetime").last()
    return align_macro(
        raw.with_columns(value=final.over("series_id", "macro_value_date")), sessions
    )


def by_presence(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: the preferred price index is chosen once, looking at all of the data."""
    if "CPIAUCSL" in raw["series_id"]:
        raw = raw.filter(pl.col("series_id") != "CPILFESL")
    return align_macro(raw, sessions)


@settings(max_examples=25, deadline=None)
@given(cuts)
def test_aligning_is_blind_to_what_comes_later(cut):
    assert not changed_by_truncation(align_macro, RAW, SESSIONS, cut)
    assert not changed_by_perturbation(align_macro, RAW, SESSIONS, cut, ["value"])


@pytest.mark.parametrize("leak", [by_value_date, by_last_vintage, by_presence])
def test_the_check_catches_a_planted_leak(leak):
    cuts = [utc(f"{day}T23:00") for day in ("2010-02-20", "2010-06-10", "2010-12-01")]
    assert any(changed_by_truncation(leak, RAW, SESSIONS, cut) for cut in cuts)


@pytest.mark.parametrize("leak", [by_value_date, by_last_vintage])
def test_other_values_later_show_a_planted_leak(leak):
    cuts = [utc(f"{day}T23:00") for day in ("2010-02-20", "2010-06-10", "2010-12-01")]
    assert any(changed_by_perturbation(leak, RAW, SESSIONS, cut, ["value"]) for cut in cuts)


def test_nothing_is_used_before_its_release():
    rows = align_macro(RAW, SESSIONS).drop_nulls("as_of_release")
    assert rows.height == SESSIONS.height
    assert (rows["as_of_release"] <= rows["known_at"]).all()


# No consumer prices and no unemployment rate were ever published for October 2025.

SHUTDOWN = xnys_sessions(date(2025, 9, 1), date(2026, 12, 31))
RELEASES = {  # reference month to the day of its release, where it was not the 12th
    date(2025, 9, 1): "2025-10-24T12:30",
    date(2025, 11, 1): "2025-12-18T13:30",
}


def prices(last: date, *, of_october: float | None = None) -> pl.DataFrame:
    """A price index from 2014, rising by 0.2% a month, its growth bent in 2024."""
    months = pl.date_range(date(2014, 1, 1), last, "1mo", eager=True).to_list()
    rows = []
    for n, month in enumerate(months):
        level = 200.0 * 1.002**n + (3.0 if month.year == 2024 else 0.0)
        if month == date(2025, 10, 1):
            if of_october is None:
                continue
            level = of_october
        next_month = (month + timedelta(days=32)).replace(day=12)
        rows.append(
            vintage("CPIAUCSL", str(month), RELEASES.get(month, f"{next_month}T13:30"), level)
        )
    return macro(*rows)


def test_a_month_never_published_turns_stale_and_is_not_filled():
    rows = align_macro(prices(date(2025, 12, 1)), SHUTDOWN)
    september = at(rows, "2025-10-27")["cpi_yoy"]
    assert september is not None
    assert at(rows, "2025-10-24")["as_of_release"] == utc("2025-09-12T13:30")
    assert at(rows, "2025-12-12")["cpi_yoy"] == september  # 75 days after September's end: the 14th
    for day in ("2025-12-15", "2025-12-16", "2025-12-18"):
        stale = at(rows, day)
        assert (stale["cpi_yoy"], stale["cpi_yoy_z"], stale["as_of_release"]) == (None, None, None)
    assert at(rows, "2025-12-19")["cpi_yoy"] is not None


def test_the_month_after_a_gap_compares_with_its_own_month_a_year_before():
    raw = prices(date(2025, 12, 1))
    level = dict(raw.select("macro_value_date", "value").rows())
    row = at(align_macro(raw, SHUTDOWN), "2025-12-19")
    expected = 100.0 * (level[date(2025, 11, 1)] / level[date(2024, 11, 1)] - 1.0)
    assert row["cpi_yoy"] == pytest.approx(expected)
    assert row["as_of_release"] == utc("2025-12-18T13:30")
    # Twelve rows back, counted without the gap, would be October 2024.
    wrong = 100.0 * (level[date(2025, 11, 1)] / level[date(2024, 10, 1)] - 1.0)
    assert abs(row["cpi_yoy"] - wrong) > 0.1


def test_a_year_later_the_gap_has_no_inflation_rate_of_its_own():
    rows = align_macro(prices(date(2026, 11, 1)), SHUTDOWN)
    level = dict(prices(date(2026, 11, 1)).select("macro_value_date", "value").rows())
    of_september = 100.0 * (level[date(2026, 9, 1)] / level[date(2025, 9, 1)] - 1.0)
    after_october = at(rows, "2026-11-13")  # October 2026 is out since the 12th
    assert after_october["cpi_yoy"] == pytest.approx(of_september)
    of_november = 100.0 * (level[date(2026, 11, 1)] / level[date(2025, 11, 1)] - 1.0)
    assert at(rows, "2026-12-15")["cpi_yoy"] == pytest.approx(of_november)


def test_a_z_score_leaves_the_missing_month_out():
    raw = prices(date(2025, 12, 1))
    level = dict(raw.select("macro_value_date", "value").rows())
    rates = {
        month: 100.0 * (value / level[before] - 1.0)
        for month, value in level.items()
        if (before := month.replace(year=month.year - 1)) in level
    }
    until = date(2025, 11, 1)
    window = [rate for month, rate in rates.items() if date(2015, 12, 1) <= month <= until]
    assert len(window) == 119
    z = at(align_macro(raw, SHUTDOWN), "2025-12-19")["cpi_yoy_z"]
    assert z == pytest.approx((rates[until] - mean(window)) / stdev(window))


def filled(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: the missing month is September's value, released with November's."""
    level = raw.filter(macro_value_date=date(2025, 9, 1))["value"].item()
    return align_macro(
        pl.concat([raw, macro(vintage("CPIAUCSL", "2025-10-01", "2025-11-13T13:30", level))]),
        sessions,
    )


def test_the_check_catches_a_filled_month():
    rows = filled(prices(date(2025, 12, 1)), SHUTDOWN)
    assert at(rows, "2025-12-16")["cpi_yoy"] is not None
    assert at(rows, "2025-12-12")["cpi_yoy"] != at(rows, "2025-10-27")["cpi_yoy"]


def test_a_missing_unemployment_rate_turns_stale_too():
    raw = macro(
        vintage("UNRATE", "2025-08-01", "2025-09-05T12:30", 4.3),
        vintage("UNRATE", "2025-09-01", "2025-11-20T13:30", 4.4),  # six weeks late
        vintage("UNRATE", "2025-11-01", "2025-12-16T13:30", 4.6),
    )
    rows = align_macro(raw, SHUTDOWN)
    days = ("2025-11-14", "2025-11-17", "2025-11-20", "2025-11-21", "2025-12-15", "2025-12-17")
    assert [at(rows, day)["unemp"] for day in days] == [4.3, None, None, 4.4, None, 4.6]
