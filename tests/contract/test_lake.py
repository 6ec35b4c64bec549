"""One suite for every lake: in memory, Delta in a folder, Delta on S3."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from time import sleep
from uuid import uuid4

import boto3
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pyarrow import fs
from tests.moto_aws import moto_aws

from riskcast.core.errors import ContractBroken, LakeError, SettingsError, TableMissing
from riskcast.core.window import Window
from riskcast.lake import DeltaLake, Lake, MemoryLake
from riskcast.lake.arrow import empty, schema
from riskcast.lake.publish import publish, publish_daily
from riskcast.lake.s3 import bucket_path, filesystem, s3_options
from riskcast.tables import Column, Kind, Layer, Table, Write
from riskcast.tables.bronze import RAW_MACRO
from riskcast.tables.silver import MARKET_DAILY

BARS = Table(
    Layer.SILVER,
    "bars",
    "One of each kind of column.",
    columns=(
        Column("symbol", Kind.TEXT, "Symbol."),
        Column("date", Kind.DATE, "Session."),
        Column("close", Kind.FLOAT, "Price.", low=0.0, high=1000.0),
        Column("side", Kind.TEXT, "Side.", nullable=True, choices=("long", "short")),
        Column("trades", Kind.INT, "Count.", low=0, nullable=True),
        Column("tags", Kind.TEXTS, "Tags.", nullable=True),
        Column("curve", Kind.FLOATS, "Numbers.", low=-10.0, nullable=True),
        Column("halted", Kind.BOOL, "Whether it was halted.", nullable=True),
    ),
    key=("symbol", "date"),
    time="date",
)
UPSERTED = replace(BARS, name="upserted", write=Write.UPSERT)
LEDGER = replace(BARS, name="ledger", write=Write.APPEND)
VINTAGES = replace(BARS, name="vintages", vintages=True, write=Write.UPSERT)
WIDER = replace(BARS, columns=(*BARS.columns, Column("vix", Kind.FLOAT, "VIX.", nullable=True)))

FIRST = date(2018, 1, 1)
ALWAYS = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def known(day: int, hours: float = 21.25) -> datetime:
    return datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hours)


def window(first: int, last: int) -> Window:
    """From the close of the session before `first` to the close of `last`."""
    return Window(known(first - 1), known(last))


def bars(*days: int, symbol: str = "SPY", close: float = 100.0, **columns: object) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "date": [FIRST + timedelta(days=day) for day in days],
            "close": [close + day for day in days],
            "side": ["long"] * len(days),
            "trades": list(days),
            "tags": [["a", "b"]] * len(days),
            "curve": [[1.0, -2.5]] * len(days),
            "halted": [False] * len(days),
            "known_at": [known(day) for day in days],
            "source": ["test"] * len(days),
        },
        schema={name: kind for name, kind in schema(BARS).items() if name != "ingested_at"},
    )
    return frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def content(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("ingested_at")


def same_content(actual: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(content(actual), content(expected), check_exact=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with moto_aws():
        boto3.client("s3").create_bucket(Bucket="riskcast")
        yield s3_options()


@pytest.fixture(params=["memory", "folder", "s3"])
def new_lake(request: pytest.FixtureRequest, tmp_path) -> Callable[[], Lake]:
    def make() -> Lake:
        match request.param:
            case "memory":
                return MemoryLake()
            case "folder":
                return DeltaLake(str(tmp_path / f"a lake {uuid4().hex}"))
            case _:
                options = request.getfixturevalue("s3")
                return DeltaLake(f"s3://riskcast/{uuid4().hex}", options)

    return make


@pytest.fixture
def lake(new_lake: Callable[[], Lake]) -> Lake:
    return new_lake()


# Reading


def test_a_table_never_written_reads_as_no_rows_with_the_declared_columns(lake: Lake) -> None:
    rows = lake.read(BARS)
    assert rows.schema == schema(BARS)
    assert rows.is_empty()
    assert lake.version(BARS) is None


def test_rows_come_back_as_written_sorted_by_key_with_the_lakes_stamp(lake: Lake) -> None:
    offered = pl.concat([bars(3, 1, 2), bars(1, symbol="AGG")])
    assert lake.write(BARS, offered, ALWAYS) == 0
    rows = lake.read(BARS)
    assert rows.schema == schema(BARS)
    assert_frame_equal(content(rows), offered.sort("symbol", "date"), check_exact=True)
    assert rows["ingested_at"].null_count() == 0


def test_what_is_written_does_not_depend_on_the_order_of_columns(lake: Lake) -> None:
    lake.write(BARS, bars(1).select(reversed(bars(1).columns)), ALWAYS)
    assert lake.read(BARS).columns == list(schema(BARS))


def assert_nothing_from_the_future(lake: Lake) -> None:
    lake.write(VINTAGES, bars(1, 2, 3), ALWAYS)
    lake.write(VINTAGES, bars(1, close=7.0).with_columns(known_at=pl.lit(known(9))), ALWAYS)
    for day in range(5):
        rows = lake.read(VINTAGES, as_of=known(day))
        assert rows.filter(pl.col("known_at") > known(day)).is_empty(), f"seen early on day {day}"
        assert rows["close"].to_list() == [100.0 + d for d in range(1, min(day, 3) + 1)]


def test_a_read_never_shows_a_row_known_after_its_instant(lake: Lake) -> None:
    assert_nothing_from_the_future(lake)


@pytest.mark.parametrize("leak", [timedelta(days=1), timedelta(days=3650)])
def test_the_check_above_catches_a_lake_that_leaks(leak: timedelta) -> None:
    class Leaky(MemoryLake):
        def read(self, table, *, as_of, **options):
            return super().read(table, as_of=as_of + leak, **options)

    with pytest.raises(AssertionError, match="seen early"):
        assert_nothing_from_the_future(Leaky())


def test_the_check_above_catches_a_lake_that_rewrites_what_was_known() -> None:
    class Forgetful(MemoryLake):
        def read(self, table, *, as_of, **options):
            newest = super().read(table, **options)
            return newest.with_columns(pl.lit(as_of).alias("known_at"))

    with pytest.raises(AssertionError):
        assert_nothing_from_the_future(Forgetful())


def test_an_instant_belongs_to_the_read_as_of_it(lake: Lake) -> None:
    lake.write(BARS, bars(1), ALWAYS)
    assert lake.read(BARS, as_of=known(1)).height == 1
    assert lake.read(BARS, as_of=known(1) - timedelta(microseconds=1)).is_empty()


def test_of_each_key_the_vintage_known_last_by_then_is_read(lake: Lake) -> None:
    for day, close in ((1, 10.0), (4, 20.0), (6, 30.0)):
        offered = bars(1, close=close).with_columns(known_at=pl.lit(known(day)))
        lake.write(VINTAGES, offered, window(day, day))
    closes = {day: lake.read(VINTAGES, as_of=known(day))["close"].to_list() for day in (0, 1, 5, 6)}
    assert closes == {0: [], 1: [11.0], 5: [21.0], 6: [31.0]}
    assert lake.read(VINTAGES)["close"].to_list() == [31.0]
    every = lake.read(VINTAGES, as_of=known(5), all_vintages=True)
    assert every["close"].to_list() == [11.0, 21.0]


def test_an_instant_without_a_zone_is_refused(lake: Lake) -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        lake.read(BARS, as_of=datetime(2018, 1, 2))  # noqa: DTZ001 - the case under test


# Writing


def test_only_rows_that_became_known_in_the_window_are_written(lake: Lake) -> None:
    lake.write(BARS, bars(*range(10)), window(3, 5))
    assert lake.read(BARS)["trades"].to_list() == [3, 4, 5]


def test_a_window_leaves_out_its_start_and_holds_its_end(lake: Lake) -> None:
    lake.write(BARS, bars(1, 2, 3), Window(known(1), known(2)))
    assert lake.read(BARS)["trades"].to_list() == [2]


def test_replacing_a_window_makes_its_rows_exactly_those_offered(lake: Lake) -> None:
    lake.write(BARS, bars(*range(10)), ALWAYS)
    lake.write(BARS, bars(4, 6, close=500.0), window(4, 6))
    rows = lake.read(BARS)
    assert rows["trades"].to_list() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert rows.filter(pl.col("close") > 500)["trades"].to_list() == [4, 6]


def test_replacing_a_window_by_nothing_empties_it_alone(lake: Lake) -> None:
    lake.write(BARS, bars(1, 2, 3), ALWAYS)
    lake.write(BARS, bars(), window(2, 2))
    assert lake.read(BARS)["trades"].to_list() == [1, 3]


def test_replacing_keeps_microseconds_apart(lake: Lake) -> None:
    late = bars(2).with_columns(known_at=pl.lit(known(1) + timedelta(microseconds=1)))
    lake.write(BARS, pl.concat([bars(1), late]), ALWAYS)
    lake.write(BARS, bars(), Window(known(1), known(1) + timedelta(microseconds=1)))
    assert lake.read(BARS)["trades"].to_list() == [1]


def test_a_key_known_at_another_instant_outside_the_window_is_refused(lake: Lake) -> None:
    lake.write(BARS, bars(1), ALWAYS)
    moved = bars(1).with_columns(known_at=pl.lit(known(5)))
    with pytest.raises(ContractBroken, match="outside the window"):
        lake.write(BARS, moved, window(5, 5))
    assert lake.version(BARS) == 0


def test_upserting_adds_or_replaces_by_key_and_keeps_the_rest(lake: Lake) -> None:
    lake.write(UPSERTED, bars(1, 2, 3), ALWAYS)
    lake.write(UPSERTED, bars(2, 4, close=500.0), ALWAYS)
    assert lake.read(UPSERTED)["close"].to_list() == [101.0, 502.0, 103.0, 504.0]


def test_upserting_a_vintage_replaces_that_vintage_only(lake: Lake) -> None:
    lake.write(VINTAGES, bars(1), ALWAYS)
    lake.write(VINTAGES, bars(1, close=200.0).with_columns(known_at=pl.lit(known(2))), ALWAYS)
    lake.write(VINTAGES, bars(1, close=300.0).with_columns(known_at=pl.lit(known(2))), ALWAYS)
    assert lake.read(VINTAGES, all_vintages=True)["close"].to_list() == [101.0, 301.0]


def test_a_ledger_only_adds_keys_not_there_yet(lake: Lake) -> None:
    lake.write(LEDGER, bars(1, 2), ALWAYS)
    assert lake.write(LEDGER, bars(2, 3, close=500.0), ALWAYS) == 1
    assert lake.read(LEDGER)["close"].to_list() == [101.0, 102.0, 503.0]
    assert lake.write(LEDGER, bars(1, 2, 3, close=900.0), ALWAYS) == 1


@pytest.mark.parametrize("table", [BARS, UPSERTED, LEDGER, VINTAGES], ids=lambda t: t.name)
def test_writing_the_same_again_makes_no_new_version(lake: Lake, table: Table) -> None:
    offered = bars(1, 2, 3, side=None, curve=None)
    version = lake.write(table, offered, ALWAYS)
    before = lake.read(table)
    assert lake.write(table, offered.reverse(), ALWAYS) == version
    assert lake.write(table, before, ALWAYS) == version
    assert lake.write(table, offered, window(2, 2)) == version
    assert_frame_equal(lake.read(table), before)


def test_writing_no_rows_first_makes_an_empty_table(lake: Lake) -> None:
    assert lake.write(BARS, empty(BARS), ALWAYS) == 0
    assert lake.read(BARS).schema == schema(BARS)
    assert lake.write(BARS, empty(BARS), ALWAYS) == 0
    assert lake.write(BARS, bars(1), ALWAYS) == 1


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=st.sampled_from([BARS, UPSERTED, LEDGER, VINTAGES]),
    days=st.sets(st.integers(0, 11), min_size=1),
    cuts=st.sets(st.integers(0, 10), max_size=6),
    rerun=st.lists(st.integers(0, 6), max_size=3),
)
def test_windows_one_by_one_give_what_one_window_gives(
    new_lake: Callable[[], Lake],
    table: Table,
    days: set[int],
    cuts: set[int],
    rerun: list[int],
) -> None:
    history = bars(*sorted(days))
    if table.vintages:  # every second bar is restated two days later
        late = pl.col("known_at") + timedelta(days=2)
        restated = history.gather_every(2).with_columns(close=pl.lit(5.0), known_at=late)
        history = pl.concat([history, restated])
    edges = [-1, *sorted(cuts), 20]
    spans = [Window(known(a), known(b)) for a, b in pairwise(edges)]
    step, whole = new_lake(), MemoryLake()
    for span in (*spans, *(spans[i] for i in rerun if i < len(spans))):
        step.write(table, history, span)
    whole.write(table, history, Window(known(-1), known(20)))
    same_content(step.read(table, all_vintages=True), whole.read(table, all_vintages=True))


def test_writers_at_once_lose_and_double_nothing(lake: Lake) -> None:
    def work(who: int) -> None:
        for day in range(3):
            lake.write(LEDGER, bars(10 * who + day, 90 + day), ALWAYS)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    expected = [10 * who + day for who in (0, 1, 2, 9) for day in range(3)]
    assert lake.read(LEDGER)["trades"].to_list() == expected


def test_a_window_may_begin_with_time_itself(lake: Lake) -> None:
    lake.write(BARS, bars(1, 2), ALWAYS)
    lake.write(BARS, bars(1), Window(datetime(1, 1, 1, tzinfo=UTC), known(5)))
    assert lake.read(BARS)["trades"].to_list() == [1]


# Time travel and evolution


def test_an_earlier_version_reads_as_it_was_left(lake: Lake) -> None:
    first = lake.write(BARS, bars(1, 2), ALWAYS)
    second = lake.write(BARS, bars(1, 2, close=500.0), ALWAYS)
    assert (first, second, lake.version(BARS)) == (0, 1, 1)
    assert lake.read(BARS, version=first)["close"].to_list() == [101.0, 102.0]
    assert lake.read(BARS, version=second)["close"].to_list() == [501.0, 502.0]
    assert lake.read(BARS, version=first, as_of=known(1))["close"].to_list() == [101.0]


def test_a_version_that_is_not_there_is_named(lake: Lake) -> None:
    with pytest.raises(TableMissing, match="never written"):
        lake.read(BARS, version=0)
    lake.write(BARS, bars(1), ALWAYS)
    for version in (-1, 1):
        with pytest.raises(LakeError, match=f"no version {version}; newest is 0"):
            lake.read(BARS, version=version)


@pytest.mark.parametrize("mode", list(Write))
def test_a_nullable_column_declared_later_reads_as_null_and_is_written(
    lake: Lake, mode: Write
) -> None:
    old, new = replace(BARS, write=mode), replace(WIDER, write=mode)
    lake.write(old, bars(1, 2), ALWAYS)
    rows = lake.read(new)
    assert rows.schema == schema(new)
    assert rows["vix"].to_list() == [None, None]
    assert lake.write(new, bars(1, 2), ALWAYS) == 0, "nothing changed yet"
    lake.write(new, bars(3, vix=15.0), window(3, 3))
    assert lake.read(new)["vix"].to_list() == [None, None, 15.0]
    if mode != Write.APPEND:
        lake.write(new, bars(2, close=500.0, vix=20.0), window(2, 2))
        assert lake.read(new)["vix"].to_list() == [None, 20.0, 15.0]
    assert lake.read(new, version=0)["vix"].to_list() == [None, None]


def test_a_column_declared_later_that_may_not_be_null_is_refused(lake: Lake) -> None:
    lake.write(BARS, bars(1), ALWAYS)
    strict = replace(BARS, columns=(*BARS.columns, Column("vix", Kind.FLOAT, "VIX.")))
    with pytest.raises(ContractBroken, match="missing vix"):
        lake.read(strict)


def test_older_code_reads_a_wider_table_but_may_not_write_it(lake: Lake) -> None:
    lake.write(WIDER, bars(1, vix=15.0), ALWAYS)
    assert lake.read(BARS).schema == schema(BARS)
    with pytest.raises(ContractBroken, match="undeclared vix"):
        lake.write(BARS, bars(1, 2), ALWAYS)
    assert lake.read(WIDER)["vix"].to_list() == [15.0]


# The contract


def ns(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("known_at").cast(pl.Datetime("ns", "UTC")))


BROKEN = {
    "missing column": (bars(1).drop("close"), "columns are complete: missing close"),
    "missing known_at": (bars(1).drop("known_at"), "missing known_at"),
    "undeclared column": (bars(1, rsi=1.0), "columns are declared: undeclared rsi"),
    "text for a number": (bars(1).with_columns(close=pl.lit("1")), "close is Float64"),
    "number for text": (bars(1).with_columns(side=pl.lit(1)), "side is String"),
    "instant for a date": (bars(1).with_columns(date=pl.col("known_at")), "date is Date"),
    "instant without a zone": (
        bars(1).with_columns(pl.col("known_at").dt.replace_time_zone(None)),
        "known_at is Datetime",
    ),
    "nanoseconds that would be lost": (
        ns(bars(1)).with_columns(pl.col("known_at") + pl.duration(nanoseconds=1)),
        "1 of 1 rows lose by the cast",
    ),
    "float that is no whole number": (
        bars(1).with_columns(trades=pl.lit(1.5)),
        "trades is Int64: offered Float64, 1 of 1 rows lose",
    ),
    "whole number no float holds": (
        bars(1).with_columns(close=pl.lit(2**53 + 1)),
        "close is Float64: offered Int64, 1 of 1 rows lose",
    ),
    "null in a column": (
        bars(1, 2).with_columns(close=pl.lit(None)),
        "close is not null: 2 of 2 rows",
    ),
    "null in known_at": (
        bars(1).with_columns(known_at=pl.lit(None, pl.Datetime("us", "UTC"))),
        "known_at is not null: 1 of 1",
    ),
    "NaN": (bars(1, 2, close=float("nan")), "close is finite: 2 of 2"),
    "infinity": (bars(1).with_columns(close=pl.lit(float("inf"))), "close is finite: 1 of 1"),
    "NaN in a list": (
        bars(1).with_columns(curve=pl.lit([1.0, float("nan")])),
        "curve holds finite values: 1 of 1",
    ),
    "null in a list": (
        bars(1).with_columns(tags=pl.lit(["a", None])),
        "tags holds no null: 1 of 1",
    ),
    "too low": (
        bars(1, 2, 3, close=-2.5),
        "close is at least 0: 2 of 3 rows, first symbol=SPY date=2018-01-02 close=-1.5",
    ),
    "too low in a list": (
        bars(1).with_columns(curve=pl.lit([1.0, -11.0])),
        "curve is at least -10: 1 of 1",
    ),
    "too high": (bars(1, 2, close=999.0), "close is at most 1000: 1 of 2 rows"),
    "no choice of the list": (
        bars(1, side="flat"),
        "side is one of long, short: 1 of 1 rows, first symbol=SPY date=2018-01-02 side=flat",
    ),
    "duplicate key": (
        pl.concat([bars(1, 2), bars(2, close=7.0)]),
        "symbol \\+ date is unique: 2 of 3 rows, first symbol=SPY date=2018-01-03",
    ),
}


@pytest.mark.parametrize(("offered", "message"), BROKEN.values(), ids=BROKEN)
def test_rows_that_break_the_declaration_are_refused_whole(
    lake: Lake, offered: pl.DataFrame, message: str
) -> None:
    with pytest.raises(ContractBroken, match=message) as refusal:
        lake.write(BARS, offered, ALWAYS)
    assert refusal.value.table == "bars"
    assert lake.version(BARS) is None


FINE = {
    "whole numbers for floats": bars(1).with_columns(close=pl.lit(101)),
    "narrow floats": bars(1).with_columns(pl.col("close").cast(pl.Float32)),
    "whole floats for integers": bars(1).with_columns(pl.col("trades").cast(pl.Float64)),
    "nanoseconds": ns(bars(1)),
    "another zone": bars(1).with_columns(
        pl.col("known_at").dt.convert_time_zone("America/New_York")
    ),
    "categories": bars(1).with_columns(pl.col("side").cast(pl.Categorical)),
    "lists of integers": bars(1, curve=[1.0, 2.0]).with_columns(
        pl.col("curve").cast(pl.List(pl.Int32))
    ),
}


@pytest.mark.parametrize("offered", FINE.values(), ids=FINE)
def test_a_lossless_cast_gives_the_declared_type(lake: Lake, offered: pl.DataFrame) -> None:
    lake.write(BARS, offered, ALWAYS)
    curve = offered["curve"].cast(pl.List(pl.Float64))
    same_content(lake.read(BARS), empty(BARS).vstack(_stamped(bars(1).with_columns(curve))))


def _stamped(frame: pl.DataFrame) -> pl.DataFrame:
    stamp = pl.lit(known(0)).cast(pl.Datetime("us", "UTC")).alias("ingested_at")
    return frame.with_columns(stamp).select(schema(BARS).names())


def test_nullable_columns_may_be_left_out(lake: Lake) -> None:
    lake.write(BARS, bars(1).drop("side", "trades", "tags", "curve", "halted"), ALWAYS)
    assert lake.read(BARS).select("side", "tags").row(0) == (None, None)


def test_a_broken_row_outside_the_window_is_ignored_like_any_other(lake: Lake) -> None:
    lake.write(BARS, pl.concat([bars(1), bars(5, close=-900.0)]), window(1, 1))
    assert lake.read(BARS).height == 1


def test_with_vintages_a_key_may_repeat_but_not_at_one_instant(lake: Lake) -> None:
    twice = pl.concat([bars(1), bars(1, close=7.0)])
    with pytest.raises(ContractBroken, match="symbol \\+ date \\+ known_at is unique"):
        lake.write(VINTAGES, twice, ALWAYS)


def market_day(session: date, basis: str, **prices: float | None) -> pl.DataFrame:
    bar = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, **prices}
    return pl.DataFrame(
        {"symbol": ["X"], "date": [session], "price_basis": [basis], "source": ["test"]}
        | {name: [value] for name, value in bar.items()}
        | {"adj_close": [bar["close"]], "known_at": [datetime(2018, 1, 2, 21, 15, tzinfo=UTC)]}
    )


def test_opens_of_an_index_are_refused_for_the_years_they_say_nothing(lake: Lake) -> None:
    with pytest.raises(ContractBroken, match="index bars before 2010-01-01 carry no open"):
        lake.write(MARKET_DAILY, market_day(date(2009, 12, 31), "index"), ALWAYS)
    for fine in (
        market_day(date(2009, 12, 31), "index", open=None),
        market_day(date(2010, 1, 4), "index"),
        market_day(date(2009, 12, 31), "adjusted"),
    ):
        lake.write(MARKET_DAILY, fine, ALWAYS)


@pytest.mark.parametrize(
    ("prices", "rule"),
    [
        ({"low": 100.2}, "low is the lowest"),
        ({"high": 100.2}, "high is the highest"),
        ({"open": 101.1}, "high is the highest"),
        ({"close": 98.0}, "low is the lowest"),
        ({"open": None, "low": 102.0}, "low is the lowest"),
    ],
)
def test_an_impossible_bar_is_refused(lake: Lake, prices: dict[str, float], rule: str) -> None:
    with pytest.raises(ContractBroken, match=rule):
        lake.write(MARKET_DAILY, market_day(date(2018, 1, 2), "adjusted", **prices), ALWAYS)
    lake.write(MARKET_DAILY, market_day(date(2018, 1, 2), "spot", **prices), ALWAYS)


def test_a_bar_off_by_rounding_alone_is_accepted(lake: Lake) -> None:
    rounded = market_day(date(2018, 1, 2), "raw+adj", open=101.00005, low=99.0, close=98.99995)
    lake.write(MARKET_DAILY, rounded, ALWAYS)
    assert lake.read(MARKET_DAILY).height == 1


def test_a_key_that_holds_an_instant_works_like_any_other(lake: Lake) -> None:
    release = datetime(2018, 2, 14, 13, 30, tzinfo=UTC)
    row = pl.DataFrame(
        {
            "series_id": ["CPI"],
            "macro_value_date": [date(2018, 1, 1)],
            "release_datetime": [release],
            "value": [249.2],
            "frequency": ["M"],
            "known_at": [release],
            "source": ["test"],
        }
    )
    assert lake.write(RAW_MACRO, row, ALWAYS) == 0
    assert lake.write(RAW_MACRO, row, ALWAYS) == 0
    assert lake.write(RAW_MACRO, row.with_columns(value=pl.lit(249.3)), ALWAYS) == 1
    assert lake.read(RAW_MACRO)["value"].to_list() == [249.3]


# Publishing


def test_the_latest_rows_are_published_by_year_without_bookkeeping(lake: Lake, tmp_path) -> None:
    lake.write(VINTAGES, bars(1, 364, 365, 730), ALWAYS)
    lake.write(VINTAGES, bars(1, close=7.0).with_columns(known_at=pl.lit(known(3))), ALWAYS)
    folder = lake.publish(VINTAGES, str(tmp_path / "published"))
    assert folder == f"{tmp_path}/published/vintages"
    names = sorted(
        path.parent.name for path in tmp_path.glob("published/vintages/*/part-0.parquet")
    )
    assert names == ["year=2018", "year=2019", "year=2020"]
    published = pl.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)
    assert_frame_equal(published, content(lake.read(VINTAGES)))


def test_a_table_without_rows_is_published_with_its_columns(lake: Lake, tmp_path) -> None:
    folder = lake.publish(BARS, str(tmp_path))
    published = pl.read_parquet(f"{folder}/**/*.parquet")
    assert_frame_equal(published, content(empty(BARS)))


class Bucket:
    """What a test sees of the published files in a bucket."""

    def __init__(self, options: dict[str, str]) -> None:
        self.root = f"s3://riskcast/{uuid4().hex}"
        self.options, self.client = options, filesystem(options)

    def publish(self, frame: pl.DataFrame) -> str:
        return publish(_stamped(frame), BARS, self.root, self.options)

    def read(self) -> pl.DataFrame:
        return pl.read_parquet(
            f"{self.root}/bars/**/*.parquet", hive_partitioning=False, storage_options=self.options
        )

    def path(self, year: int) -> str:
        return f"{bucket_path(self.root)}/bars/year={year}/part-0.parquet"

    def written(self) -> dict[str, int]:
        folder = fs.FileSelector(bucket_path(f"{self.root}/bars"), recursive=True)
        infos = self.client.get_file_info(folder)
        return {i.path: i.mtime_ns for i in infos if i.type == fs.FileType.File}


@pytest.fixture
def bucket(s3: dict[str, str]) -> Bucket:
    return Bucket(s3)


def test_publishing_to_a_bucket_puts_only_files_that_change(bucket: Bucket) -> None:
    assert bucket.publish(bars(1, 365, 730)) == f"{bucket.root}/bars"
    assert_frame_equal(bucket.read(), bars(1, 365, 730))
    first = bucket.written()
    sleep(1.1)  # the bucket's clock counts seconds
    bucket.publish(bars(1, 365, 730))
    assert bucket.written() == first
    bucket.publish(bars(1, 730, 731))
    assert_frame_equal(bucket.read(), bars(1, 730, 731))
    second = bucket.written()
    assert {path for path in second if second[path] == first[path]} == {bucket.path(2018)}
    assert set(second) == {bucket.path(2018), bucket.path(2020)}, "2019 has no rows any more"


def test_a_published_file_that_was_lost_or_cut_is_put_again(bucket: Bucket) -> None:
    bucket.publish(bars(1, 365))
    bucket.client.delete_file(bucket.path(2018))
    with bucket.client.open_output_stream(bucket.path(2019)) as stream:
        stream.write(b"PAR1")
    bucket.publish(bars(1, 365))
    assert_frame_equal(bucket.read(), bars(1, 365))


def test_a_day_is_published_to_a_bucket_as_one_file(bucket: Bucket) -> None:
    day = FIRST + timedelta(days=2)
    path = publish_daily(_stamped(bars(1, 2)), BARS, bucket.root, day, bucket.options)
    assert path == f"{bucket.root}/bars_20180103.parquet"
    assert_frame_equal(pl.read_parquet(path, storage_options=bucket.options), bars(2))
