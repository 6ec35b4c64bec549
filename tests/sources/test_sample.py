from __future__ import annotations

from datetime import date, time
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from arch.data import sp500
from hypothesis import given, settings
from hypothesis import strategies as st
from source_rows import ALL

from riskcast.core.errors import NoSuchSession, SourceMissing
from riskcast.sources import SampleSource, simulate
from riskcast.sources.releases import release_datetime
from riskcast.transforms.macro import align_macro
from riskcast.transforms.sessions import xnys_sessions

SAMPLE = SampleSource()
MARKET, MACRO = SAMPLE.fetch_market(ALL), SAMPLE.fetch_macro(ALL)
SESSIONS = xnys_sessions(date(1999, 1, 4), date(2018, 12, 31))["session"].to_list()
INDEX = MARKET.filter(symbol="GSPC").select("date", "close")
REAL = {"GSPC": "arch.sp500", "IXIC": "arch.nasdaq", "WTI": "arch.wti"}
SECTORS = {"XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY"}


def test_the_index_is_the_real_one_bar_by_bar():
    real = sp500.load()
    ours = MARKET.filter(symbol="GSPC")
    assert ours["date"].to_list() == [stamp.date() for stamp in real.index]
    names = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    for ours_name, theirs in names.items():
        np.testing.assert_array_equal(ours[ours_name], real[theirs])


def test_every_row_says_where_it_comes_from():
    sources = dict(MARKET.group_by("symbol").agg(pl.col("source").unique().sort()).iter_rows())  # type: ignore[arg-type]
    simulated = {"TLT", "HYG", "GLD", "DXY", "VIX3M", *SECTORS}
    assert sources == {
        **{symbol: [source] for symbol, source in REAL.items()},
        **{symbol: ["simulated"] for symbol in simulated},
        "VIX": ["arch.vix", "simulated"],
    }


def test_no_vix_is_simulated_where_the_real_one_exists():
    vix = MARKET.filter(symbol="VIX").sort("date")
    assert vix["date"].to_list() == SESSIONS
    real_from = vix.filter(source="arch.vix")["date"].min()
    assert real_from == date(2014, 1, 3)
    assert vix.filter(source="simulated")["date"].max() == date(2014, 1, 2)


def test_nothing_is_known_after_the_last_session():
    assert MARKET["known_at"].max() == SAMPLE.end
    assert MACRO["known_at"].max() == SAMPLE.end


def test_macro_values_are_released_after_their_period():
    period_end = (
        pl.when(pl.col("frequency") == "M")
        .then(pl.col("macro_value_date").dt.month_end())
        .otherwise(pl.col("macro_value_date"))
    )
    released_on = pl.col("release_datetime").dt.convert_time_zone("America/New_York").dt.date()
    assert MACRO.select((released_on > period_end).all()).item()


@given(st.dates(date(1990, 1, 1), date(2030, 12, 31)).map(lambda day: day.replace(day=1)))
def test_the_clock_of_a_release_is_new_yorks_in_winter_and_summer(month):
    for series, clock in (("UNRATE", time(8, 30)), ("ISM_MAN_PMI", time(10, 0))):
        released = release_datetime(series, pl.Series([month]))[0]
        assert released.astimezone(ZoneInfo("America/New_York")).time() == clock


def test_unemployment_comes_on_the_first_friday():
    released = release_datetime("UNRATE", pl.Series([date(2018, 5, 1), date(2018, 12, 1)]))
    assert [f"{at:%Y-%m-%d %H:%M}" for at in released] == ["2018-06-01 12:30", "2019-01-04 13:30"]


def test_aligned_macro_columns_are_there_from_the_first_year_on():
    sessions = xnys_sessions(date(1999, 2, 1), date(2018, 12, 31))
    rows = align_macro(MACRO, sessions)
    assert rows.null_count().sum_horizontal().item() == 0
    assert (rows["as_of_release"] <= rows["known_at"]).all()
    assert rows["source"].unique().to_list() == ["simulated"]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(SESSIONS[30:-1]))
def test_an_earlier_end_gives_the_same_rows_up_to_it(last):
    short = SampleSource(last=last)
    assert short.fetch_market(ALL).equals(MARKET.filter(pl.col("known_at") <= short.end))
    assert short.fetch_macro(ALL).equals(MACRO.filter(pl.col("known_at") <= short.end))


SIMULATIONS = {
    "VIX": simulate.simulate_vix,
    "TLT": lambda index: simulate.simulate_closes("TLT", index),
    "VIX3M": simulate.simulate_vix3m,
}


def looks_ahead(function, cut: int) -> bool:
    """Whether another index after row `cut` changes a simulated value up to it."""
    later = pl.int_range(pl.len()) > cut
    other = INDEX.with_columns(close=pl.when(later).then(pl.col("close") * 1.2).otherwise("close"))
    return not function(INDEX).head(cut + 1).equals(function(other).head(cut + 1))


@pytest.mark.parametrize("name", SIMULATIONS)
@pytest.mark.parametrize("cut", [0, 1, 17, 2500, 5029])
def test_a_simulated_value_uses_the_index_up_to_its_day(name, cut):
    assert not looks_ahead(SIMULATIONS[name], cut)


def test_the_check_catches_a_simulation_on_tomorrows_index():
    def planted(index: pl.DataFrame) -> pl.DataFrame:
        return simulate.simulate_vix(index.with_columns(pl.col("close").shift(-1).forward_fill()))

    assert looks_ahead(planted, 2500)


def test_the_simulated_vix_rises_when_the_index_is_rough():
    vix = MARKET.filter(symbol="VIX").group_by(pl.col("date").dt.year().alias("year"))
    level = dict(vix.agg(pl.col("close").mean()).iter_rows())
    assert level[2008] > 1.8 * level[2005]
    assert MARKET.filter(symbol="VIX")["close"].min() >= 9


def test_two_instances_give_the_same_rows():
    assert SampleSource().fetch_market(ALL).equals(MARKET)


def test_an_asset_the_sample_lacks_is_named_with_those_it_has():
    with pytest.raises(SourceMissing, match=r"no bar of SPY .* GSPC"):
        SampleSource("SPY").newest()


def test_a_sample_ends_with_a_session():
    with pytest.raises(NoSuchSession, match="2018-12-25"):
        SampleSource(last=date(2018, 12, 25))
