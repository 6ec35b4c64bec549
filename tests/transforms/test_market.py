from __future__ import annotations

from datetime import date, timedelta
from math import log

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_rows import bar, changed_by_perturbation, changed_by_truncation, market, utc

from riskcast.tables.silver import MARKET_DAILY
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

YEAR = xnys_sessions(date(2018, 1, 1), date(2018, 12, 31))
VALUES = ["open", "high", "low", "close", "adj_close", "volume"]


def curated(*rows: dict[str, object], sessions: pl.DataFrame = YEAR) -> pl.DataFrame:
    return curate_market(market(*rows), sessions)


def test_rows_have_the_columns_of_their_table():
    names = [column.name for column in MARKET_DAILY.every_column if column.name != "ingested_at"]
    assert curated(bar("SPY", "2018-07-02")).columns == names


def test_bars_off_sessions_are_left_out_and_none_is_invented():
    rows = curated(
        bar("DXY", "2018-07-02"), bar("DXY", "2018-07-04"), bar("DXY", "2018-07-07"),
        bar("DXY", "2018-07-09"),
    )  # fmt: skip
    assert rows["date"].to_list() == [date(2018, 7, 2), date(2018, 7, 9)]


def test_raw_prices_move_to_the_adjusted_scale():
    row = curated(
        bar("SPY", "2018-07-02", open=98.0, high=102.0, low=96.0, close=100.0, adj_close=50.0,
            price_basis="raw+adj")
    ).row(0, named=True)  # fmt: skip
    assert [row[name] for name in VALUES[:5]] == [49.0, 51.0, 48.0, 50.0, 50.0]


@pytest.mark.parametrize("basis", ["adjusted", "index", "spot"])
def test_other_prices_stay_as_they_are(basis):
    given_ = {"open": 98.0, "high": 102.0, "low": 96.0, "close": 100.0, "adj_close": 100.0}
    row = curated(bar("X", "2018-07-02", price_basis=basis, **given_)).row(0, named=True)
    assert {name: row[name] for name in given_} == given_


def test_the_return_is_the_log_ratio_of_adjusted_closes():
    rows = curated(bar("SPY", "2018-07-03", close=100.0), bar("SPY", "2018-07-05", close=102.0))
    assert rows["ret"].to_list() == [None, pytest.approx(log(1.02))]


def test_a_return_spans_five_sessions_but_not_six():
    five = curated(bar("SPY", "2018-07-09"), bar("SPY", "2018-07-16", close=101.0))
    six = curated(bar("SPY", "2018-07-09"), bar("SPY", "2018-07-17", close=101.0))
    assert five["ret"][1] == pytest.approx(log(1.01))
    assert six["ret"][1] is None


def test_a_price_below_zero_has_no_return_on_either_side():
    sessions = xnys_sessions(date(2020, 4, 1), date(2020, 4, 30))
    closes = {"2020-04-17": 18.3, "2020-04-20": -37.0, "2020-04-21": 9.1, "2020-04-22": 13.6}
    rows = curated(
        *(bar("WTI", day, close=close, price_basis="spot") for day, close in closes.items()),
        sessions=sessions,
    )
    assert rows["ret"].to_list() == [None, None, None, pytest.approx(log(13.6 / 9.1))]


def test_returns_do_not_run_from_one_symbol_into_the_next():
    rows = curated(
        bar("A", "2018-07-02"), bar("A", "2018-07-03"), bar("B", "2018-07-03", close=7.0)
    )
    assert rows["ret"].to_list() == [None, 0.0, None]


def test_an_index_open_before_2010_is_null():
    sessions = xnys_sessions(date(2009, 12, 1), date(2010, 1, 31))
    rows = curated(
        bar("GSPC", "2009-12-31", price_basis="index"),
        bar("GSPC", "2010-01-04", price_basis="index"),
        bar("SPY", "2009-12-31"),
        sessions=sessions,
    )
    assert rows["open"].to_list() == [None, 100.0, 100.0]
    assert rows["high"].null_count() == 0


def test_a_flat_index_bar_before_1970_keeps_only_its_close():
    sessions = xnys_sessions(date(1969, 12, 1), date(1970, 1, 31))
    rows = curated(
        bar("GSPC", "1969-12-30", price_basis="index"),
        bar("GSPC", "1969-12-31", price_basis="index", high=101.0),
        bar("GSPC", "1970-01-05", price_basis="index"),
        sessions=sessions,
    )
    assert rows["high"].to_list() == [None, 101.0, 100.0]
    assert rows["low"].to_list() == [None, 100.0, 100.0]


@pytest.mark.parametrize("close", [20.5, 9.5])
def test_a_close_outside_the_range_makes_high_and_low_null(close):
    row = curated(bar("VIX", "2018-07-02", high=20.0, low=10.0, close=close)).row(0, named=True)
    assert (row["high"], row["low"], row["close"]) == (None, None, close)


@pytest.mark.parametrize("open_", [20.5, 2.58])
def test_an_open_outside_the_range_is_null(open_):
    row = curated(bar("VIX", "2018-07-02", open=open_, high=20.0, low=10.0, close=15.0)).row(0)
    assert row[2:6] == (None, 20.0, 10.0, 15.0)


def test_a_close_off_by_rounding_keeps_its_range():
    row = curated(bar("SPY", "2018-07-02", high=100.0, low=99.0, close=100.0 + 1e-12)).row(0)
    assert row[3] == 100.0


def test_a_bar_without_range_stays_without():
    row = curated(bar("VIX", "2018-07-02", open=None, high=None, low=None)).row(0, named=True)
    assert (row["high"], row["low"], row["close"]) == (None, None, 100.0)


def told(at: str, **values: object) -> pl.DataFrame:
    return market(bar("SPY", **values)).with_columns(known_at=pl.lit(utc(at)))


def test_a_return_starts_from_what_was_told_of_the_previous_bar_by_then():
    first = market(bar("SPY", "2018-07-02", close=100.0), bar("SPY", "2018-07-03", close=99.0))
    seen = told("2018-07-03T17:15", day="2018-07-02", close=98.0)
    too_late = told("2018-07-03T17:16", day="2018-07-02", close=50.0)
    rows = curate_market(pl.concat([first, seen, too_late]), YEAR)
    assert rows["ret"].to_list() == [None, pytest.approx(log(99 / 98))]
    assert rows["close"].to_list() == [100.0, 99.0]
    assert rows["known_at"].to_list() == first["known_at"].to_list()


def test_a_bar_that_came_after_a_later_one_is_left_out():
    first = market(bar("SPY", "2018-07-02"), bar("SPY", "2018-07-05", close=104.0))
    late = told("2018-07-06T12:00", day="2018-07-03", close=101.0)
    after = market(bar("SPY", "2018-07-06", close=105.0))
    rows = curate_market(pl.concat([first, late, after]), YEAR)
    assert rows["date"].to_list() == [date(2018, 7, 2), date(2018, 7, 5), date(2018, 7, 6)]
    assert rows["ret"].to_list()[1:] == [pytest.approx(log(1.04)), pytest.approx(log(105 / 104))]


def test_a_bar_that_came_with_the_next_one_is_kept():
    first = market(bar("SPY", "2018-07-02"), bar("SPY", "2018-07-05", close=104.0))
    late = told("2018-07-05T20:15", day="2018-07-03", close=101.0)
    rows = curate_market(pl.concat([first, late]), YEAR)
    assert rows["ret"].to_list() == [None, pytest.approx(log(1.01)), pytest.approx(log(104 / 101))]


# Nothing known after a cut may change a row known by then.


def a_market() -> pl.DataFrame:
    """Four symbols of different basis on 60 days, off sessions too, with gaps."""
    rng = np.random.default_rng(7)
    rows = []
    for symbol, basis in (
        ("SPY", "raw+adj"),
        ("VIX", "index"),
        ("TLT", "adjusted"),
        ("WTI", "spot"),
    ):
        close = 50.0
        for n in range(60):
            close *= float(np.exp(0.02 * rng.standard_normal()))
            if rng.random() < 0.15:
                continue
            settled = -close if basis == "spot" and n == 33 else close
            high, low = close * (1 + 0.01 * rng.random()), close * (1 - 0.01 * rng.random())
            wrong = 1.02 if symbol == "VIX" and n % 9 == 0 else 1.0
            values = {"open": low, "high": high, "low": low, "close": settled * wrong}
            factor = 0.9 if basis == "raw+adj" else 1.0
            adjusted = {"adj_close": settled * wrong * factor, "price_basis": basis}
            day = date(2018, 6, 20) + timedelta(days=n)
            rows.append(bar(symbol, day, **values, **adjusted))
    return market(*rows)


def with_vintages(raw: pl.DataFrame) -> pl.DataFrame:
    """Every third bar restated some hours to weeks later, every eleventh late."""
    n = pl.int_range(pl.len())
    later = pl.col("known_at") + pl.duration(hours=n * 37 % 500 + 1)
    restated = raw.filter(n % 3 == 0).with_columns(
        pl.col("adj_close") * 0.97, later.dt.cast_time_unit("us").alias("known_at")
    )
    late = pl.when(n % 11 == 5).then(pl.col("known_at") + pl.duration(hours=60))
    moved = raw.with_columns(late.otherwise("known_at").dt.cast_time_unit("us").alias("known_at"))
    return pl.concat([moved, restated.filter(n % 2 == 0), restated]).unique(
        ["symbol", "date", "known_at"], keep="first", maintain_order=True
    )


RAW = with_vintages(a_market())
cuts = st.integers(0, 60 * 24).map(lambda hours: utc("2018-06-20T00:00") + timedelta(hours=hours))


def shifted(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: the next session's return."""
    rows = curate_market(raw, sessions)
    return rows.with_columns(pl.col("ret").shift(-1).over("symbol"))


def filled(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: missing ranges from the bar after."""
    rows = curate_market(raw, sessions)
    return rows.with_columns(pl.col("high").fill_null(strategy="backward").over("symbol"))


def rescaled(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: prices adjusted by the newest factor of the whole sample."""
    factor = (pl.col("adj_close") / pl.col("adj_close").last()).over("symbol")
    return curate_market(raw.with_columns(adj_close=factor), sessions)


@settings(max_examples=60)
@given(cuts)
def test_curating_is_blind_to_what_comes_later(cut):
    assert not changed_by_truncation(curate_market, RAW, YEAR, cut)
    assert not changed_by_perturbation(curate_market, RAW, YEAR, cut, VALUES)


def newest(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: the vintage told last, under the instant of the first."""
    ordered = raw.sort("known_at")
    values = ordered.unique(["symbol", "date"], keep="last").drop("known_at")
    first = ordered.unique(["symbol", "date"], keep="first").select("symbol", "date", "known_at")
    return curate_market(values.join(first, on=["symbol", "date"]).select(raw.columns), sessions)


def starts_from_newest(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Planted: only the start of each return is of the vintage told last."""
    rows = curate_market(raw, sessions)
    last = raw.sort("known_at").unique(["symbol", "date"], keep="last")
    closes = last.select("symbol", "date", pl.col("adj_close").alias("last"))
    start = pl.col("last").shift(1).over("symbol")
    return rows.join(closes, on=["symbol", "date"], maintain_order="left", how="left").with_columns(
        ret=pl.col("adj_close") / start
    )


@pytest.mark.parametrize("leak", [shifted, filled, rescaled, newest, starts_from_newest])
def test_the_check_catches_a_planted_leak(leak):
    cuts = RAW["known_at"].unique().sort()[5:-5]
    assert any(changed_by_truncation(leak, RAW, YEAR, cut) for cut in cuts)
    assert any(changed_by_perturbation(leak, RAW, YEAR, cut, VALUES) for cut in cuts)
