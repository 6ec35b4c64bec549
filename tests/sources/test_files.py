from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from source_rows import (
    ALL,
    MACRO_CSV,
    MARKET_CSV,
    macro_frame,
    market_frame,
    write_csv,
    write_parquet,
)

from riskcast.core.clock import wall
from riskcast.core.errors import SourceMalformed, SourceMissing
from riskcast.sources import FilesSource

TOMORROW = (wall() + timedelta(days=1)).date()


def line(text: str, number: int, old: str, new: str) -> str:
    """The text with `old` replaced in one line, counted from 1."""
    lines = text.splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return "".join(lines)


def set_at(frame: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    changed = frame[column].to_list()
    changed[row] = value
    return frame.with_columns(pl.Series(column, changed, dtype=frame.schema[column]))


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_good_files_load_whole(tmp_path, write):
    source = FilesSource(write(tmp_path / "data"), "SPY")
    market, macro = source.fetch_market(ALL), source.fetch_macro(ALL)
    assert market["source"].to_list() == ["vendor", "vendor", "exchange"]
    assert market["volume"].to_list() == [1000.0, 900.0, None]
    assert market["known_at"][1] == datetime(2018, 7, 3, 17, 15, tzinfo=UTC)
    assert macro["release_datetime"][1] == datetime(2018, 7, 6, 12, 30, tzinfo=UTC)
    assert macro["source"].unique().to_list() == ["files.macro"]
    assert source.newest() == "2018-07-03"


def test_dates_may_be_pandas_midnights_and_other_columns_are_ignored(tmp_path):
    market = market_frame().with_columns(
        pl.col("date").cast(pl.Datetime("ns")), pl.col("symbol").cast(pl.Categorical), note=1
    )
    source = FilesSource(write_parquet(tmp_path / "data", market=market), "SPY")
    assert source.fetch_market(ALL)["date"][0] == date(2018, 7, 2)


def test_a_bar_off_session_is_kept_and_known_at_ten_in_the_evening(tmp_path):
    text = line(MARKET_CSV, 4, "2018-07-03", "2018-07-04")
    source = FilesSource(write_csv(tmp_path / "data", market=text), "VIX")
    rows = source.fetch_market(ALL).filter(symbol="VIX")
    assert rows["known_at"].to_list() == [datetime(2018, 7, 4, 22, 0, tzinfo=UTC)]
    with pytest.raises(SourceMissing, match="no bar of VIX on a session"):
        source.newest()


def test_oil_may_settle_below_zero(tmp_path):
    row = "WTI,2020-04-20,,,,-36.98,-36.98,,spot,agency\n"
    source = FilesSource(write_csv(tmp_path / "data", market=MARKET_CSV + row), "WTI")
    assert source.fetch_market(ALL).filter(symbol="WTI")["close"].to_list() == [-36.98]


MALFORMED_MARKET_CSV = {
    "text for a number": (2, "269.5", "n/a", "line 2, column open: n/a is not a number"),
    "underscore": (3, "900", "9_00", "line 3, column volume: 9_00 is not a number"),
    "not a number": (2, "271.9", "nan", "line 2, column close: nan is not a number"),
    "infinite": (2, "271.9", "1e999", "line 2, column close: inf is not finite"),
    "American date": (3, "2018-07-03", "07/03/2018", "line 3, column date: 07/03/2018 is not a da"),
    "no such day": (3, "2018-07-03", "2018-02-30", "line 3, column date: 2018-02-30 is not a date"),
    "future": (3, "2018-07-03", f"{TOMORROW}", f"line 3, column date: {TOMORROW} lies ahead"),
    "missing close": (4, "16.1,16.1", ",16.1", "line 4, column close: the value is missing"),
    "missing symbol": (4, "VIX", "", "line 4, column symbol: the value is missing"),
    "padded symbol": (4, "VIX", "VIX ", "line 4, column symbol: VIX  has spaces around it"),
    "zero price": (2, "269.2", "0", "line 2, column low: 0.0 is not positive"),
    "negative index": (4, "16.1,16.1", "-1,16.1", "line 4, column close: -1.0 is not positive"),
    "negative volume": (3, "900", "-900", "line 3, column volume: -900.0 is below 0"),
    "unknown basis": (4, "index", "close", "line 4, column price_basis: close is not one of"),
    "duplicate": (3, "2018-07-03", "2018-07-02", "SPY, 2018-07-02 is already in line 2"),
    "missing field": (3, ",vendor", "", "line 3: 9 fields where the header has 10"),
    "additional field": (3, ",vendor", ",vendor,x", "line 3: 11 fields where the header has 10"),
    "open quote": (3, "SPY", '"SPY', "line 4: unexpected end of data"),
    "column twice": (1, "open", "close", "the header repeats close"),
}
MALFORMED_MACRO_CSV = {
    "no offset": (2, "12:30:00Z", "12:30:00", "line 2, column release_datetime: 2018-06-01T12:30"),
    "a date": (2, "T12:30:00Z", "", "line 2, column release_datetime: 2018-06-01 is not an inst"),
    "no such hour": (2, "T12:30", "T25:30", "column release_datetime: 2018-06-01T25:30:00Z is not"),
    "future release": (2, "2018-06-01", f"{TOMORROW}", "line 2, column release_datetime: "),
    "frequency": (4, ",D", ",Q", "line 4, column frequency: Q is not one of D, W, M"),
    "no value": (3, "3.9", "", "line 3, column value: the value is missing"),
    "duplicate": (3, "2018-07-06T08:30:00-04:00", "2018-06-01T08:30:00-04:00", "in line 2"),
}


@pytest.mark.parametrize(
    ("number", "old", "new", "said"), MALFORMED_MARKET_CSV.values(), ids=MALFORMED_MARKET_CSV
)
def test_a_malformed_market_csv_is_refused_with_its_place(tmp_path, number, old, new, said):
    folder = write_csv(tmp_path / "data", market=line(MARKET_CSV, number, old, new))
    with pytest.raises(SourceMalformed) as error:
        FilesSource(folder, "SPY").fetch_market(ALL)
    assert said in str(error.value)
    assert str(folder / "market_daily.csv") in str(error.value)


@pytest.mark.parametrize(
    ("number", "old", "new", "said"), MALFORMED_MACRO_CSV.values(), ids=MALFORMED_MACRO_CSV
)
def test_a_malformed_macro_csv_is_refused_with_its_place(tmp_path, number, old, new, said):
    folder = write_csv(tmp_path / "data", macro=line(MACRO_CSV, number, old, new))
    with pytest.raises(SourceMalformed) as error:
        FilesSource(folder, "SPY").fetch_macro(ALL)
    assert said in str(error.value)
    assert str(folder / "macro.csv") in str(error.value)


Change = Callable[[pl.DataFrame], pl.DataFrame]
MALFORMED_PARQUET: dict[str, tuple[Change, str]] = {
    "text column": (
        lambda rows: rows.with_columns(pl.col("open").cast(pl.String)),
        "column open: '269.5' is of type String, not a number",
    ),
    "text date": (
        lambda rows: rows.with_columns(pl.col("date").cast(pl.String)),
        "column date: '2018-07-02' is of type String, not a date",
    ),
    "time of day": (
        lambda rows: rows.with_columns(pl.col("date").cast(pl.Datetime("us")) + timedelta(hours=1)),
        "row 1, column date: 2018-07-02 01:00:00 has a time of day",
    ),
    "zoned date": (
        lambda rows: rows.with_columns(
            pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        ),
        "not a date",
    ),
    "NaN": (lambda rows: set_at(rows, 1, "close", float("nan")), "row 2, column close: nan is not"),
    "null": (lambda rows: set_at(rows, 2, "adj_close", None), "row 3, column adj_close: the value"),
    "negative": (lambda rows: set_at(rows, 1, "high", -1.0), "row 2, column high: -1.0 is not pos"),
    "future": (lambda rows: set_at(rows, 1, "date", TOMORROW), "row 2, column date: "),
    "empty text": (lambda rows: set_at(rows, 2, "symbol", ""), "row 3, column symbol:  is empty"),
    "no source": (lambda rows: set_at(rows, 2, "source", None), "row 3, column source: the value"),
    "duplicate": (
        lambda rows: pl.concat([rows, rows[2:]]),
        "row 4, column symbol + date: VIX, 2018-07-03 is already in row 3",
    ),
}


@pytest.mark.parametrize(
    ("change", "said"), MALFORMED_PARQUET.values(), ids=list(MALFORMED_PARQUET)
)
def test_a_malformed_parquet_is_refused_with_its_place(tmp_path, change, said):
    folder = write_parquet(tmp_path / "data", market=change(market_frame()))
    with pytest.raises(SourceMalformed) as error:
        FilesSource(folder, "SPY").fetch_market(ALL)
    assert said in str(error.value)
    assert str(folder / "market_daily.parquet") in str(error.value)


def test_of_several_bad_rows_the_first_is_named(tmp_path):
    text = line(line(MARKET_CSV, 2, "269.2", "-1"), 3, "270.4", "-2")
    with pytest.raises(SourceMalformed, match=r"line 2, column low: -1\.0"):
        FilesSource(write_csv(tmp_path / "data", market=text), "SPY").fetch_market(ALL)


def test_a_release_without_time_zone_is_refused(tmp_path):
    macro = macro_frame().with_columns(pl.col("release_datetime").dt.replace_time_zone(None))
    folder = write_parquet(tmp_path / "data", macro=macro)
    with pytest.raises(SourceMalformed, match=r"release_datetime.* not an instant with its UTC"):
        FilesSource(folder, "SPY").fetch_macro(ALL)


def test_a_missing_folder_file_or_column_is_named(tmp_path):
    with pytest.raises(SourceMissing, match=r"neither market_daily\.parquet nor market_daily\.csv"):
        FilesSource(tmp_path / "nowhere", "SPY").fetch_market(ALL)
    folder = write_parquet(tmp_path / "data", market=market_frame().drop("adj_close", "volume"))
    with pytest.raises(SourceMissing, match="lacks column adj_close, volume; it has symbol"):
        FilesSource(folder, "SPY").fetch_market(ALL)
    folder = write_csv(tmp_path / "text", macro=MACRO_CSV.replace("value,", "figure,", 1))
    with pytest.raises(SourceMissing, match=r"macro\.csv lacks column value"):
        FilesSource(folder, "SPY").fetch_macro(ALL)


@pytest.mark.parametrize("text", ["", MARKET_CSV.splitlines()[0] + "\n"])
def test_a_file_without_rows_is_no_data(tmp_path, text):
    folder = write_csv(tmp_path / "data", market=text)
    with pytest.raises(SourceMissing, match="holds no rows"):
        FilesSource(folder, "SPY").fetch_market(ALL)


def test_a_file_in_both_formats_is_ambiguous(tmp_path):
    folder = write_parquet(write_csv(tmp_path / "data"))
    with pytest.raises(SourceMalformed, match="keep one"):
        FilesSource(folder, "SPY").fetch_market(ALL)


def test_bytes_that_are_no_parquet_or_no_text_are_refused(tmp_path):
    (tmp_path / "market_daily.parquet").write_bytes(b"not a table")
    (tmp_path / "macro.csv").write_bytes(MACRO_CSV.encode("utf-16"))
    source = FilesSource(tmp_path, "SPY")
    with pytest.raises(SourceMalformed, match="cannot be read as Parquet"):
        source.fetch_market(ALL)
    with pytest.raises(SourceMalformed, match="not UTF-8"):
        source.fetch_macro(ALL)


def test_a_bad_row_outside_the_window_still_refuses_all_until_it_is_mended(tmp_path):
    folder = write_csv(tmp_path / "data", market=line(MARKET_CSV, 4, "16.1", "x"))
    source = FilesSource(folder, "SPY")
    for _ in range(2):
        with pytest.raises(SourceMalformed):
            source.fetch_market(ALL)
    write_csv(folder)
    assert source.fetch_market(ALL).height == 3
