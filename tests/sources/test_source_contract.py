"""What every source keeps to, whatever stands behind it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_rows import ALL

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.sources import FilesSource, SampleSource, Source, open_source
from riskcast.tables import Kind, Table
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR

DTYPES = {
    Kind.TEXT: pl.String,
    Kind.FLOAT: pl.Float64,
    Kind.DATE: pl.Date,
    Kind.INSTANT: pl.Datetime("us", "UTC"),
}
FROM, TO = datetime(2018, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)
SAMPLE = SampleSource()


@pytest.fixture(scope="module", params=["sample", "parquet", "csv"])
def source(request, tmp_path_factory) -> Source:
    """The sample, and the sample's last year written to files and read back."""
    if request.param == "sample":
        return SAMPLE
    folder = tmp_path_factory.mktemp(request.param)
    last_year = Window(FROM, TO)
    for stem, rows in (
        ("market_daily", SAMPLE.fetch_market(last_year)),
        ("macro", SAMPLE.fetch_macro(last_year)),
        ("release_calendar", SAMPLE.fetch_calendar(last_year)),
    ):
        if request.param == "parquet":
            rows.write_parquet(folder / f"{stem}.parquet")
        else:
            rows.write_csv(folder / f"{stem}.csv", datetime_format="%Y-%m-%dT%H:%M:%S%:z")
    return FilesSource(folder, "GSPC")


def check_declared(rows: pl.DataFrame, table: Table) -> None:
    columns = [column for column in table.every_column if column.name != "ingested_at"]
    assert dict(rows.schema) == {column.name: DTYPES[column.kind] for column in columns}
    for column in columns:
        values = rows[column.name]
        assert column.nullable or values.null_count() == 0, column.name
        assert not column.choices or set(values.unique()) <= set(column.choices), column.name
        assert column.low is None or (values.drop_nulls() >= column.low).all(), column.name
    assert not rows.select(table.key).is_duplicated().any()


def test_rows_keep_to_the_declaration_of_their_table(source):
    check_declared(source.fetch_market(ALL), RAW_MARKET)
    check_declared(source.fetch_macro(ALL), RAW_MACRO)
    check_declared(source.fetch_calendar(ALL), RELEASE_CALENDAR)


def test_a_macro_value_is_known_when_released_and_a_bar_after_its_close(source):
    macro = source.fetch_macro(ALL)
    assert macro["known_at"].equals(macro["release_datetime"])
    half_day = source.fetch_market(ALL).filter(symbol="GSPC", date=date(2018, 7, 3))
    assert half_day["known_at"].to_list() == [datetime(2018, 7, 3, 17, 15, tzinfo=UTC)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.integers(1, 364 * 24))
def test_two_windows_give_what_one_gives(source, hours):
    cut = FROM + timedelta(hours=hours)
    for fetch in (source.fetch_market, source.fetch_macro, source.fetch_calendar):
        parts = pl.concat([fetch(Window(FROM, cut)), fetch(Window(cut, TO))])
        whole = fetch(Window(FROM, TO))
        assert parts.sort(pl.all()).equals(whole.sort(pl.all()))


def test_a_window_holds_its_end_and_not_its_start(source):
    known = datetime(2018, 7, 3, 17, 15, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert date(2018, 7, 3) in source.fetch_market(Window(known - hour, known))["date"]
    assert source.fetch_market(Window(known, known + hour)).is_empty()


def test_the_newest_session_is_the_last_of_2018(source):
    assert source.newest() == "2018-12-31"


def test_files_give_back_the_rows_they_were_written_from(source):
    year = Window(FROM, TO)
    assert source.fetch_market(year).equals(SAMPLE.fetch_market(year))
    assert source.fetch_macro(year).equals(SAMPLE.fetch_macro(year))
    assert source.fetch_calendar(year).equals(SAMPLE.fetch_calendar(year))


def test_a_release_is_known_thirty_days_ahead(source):
    calendar = source.fetch_calendar(ALL)
    ahead = calendar["release_datetime"] - calendar["known_at"]
    assert ahead.unique().to_list() == [timedelta(days=30)]


def test_settings_choose_the_source(tmp_path):
    assert isinstance(open_source(Settings()), SampleSource)
    files = open_source(Settings(source="files", files=str(tmp_path), asset="QQQ"))
    assert isinstance(files, FilesSource)
    assert (files.folder, files.asset) == (tmp_path, "QQQ")
