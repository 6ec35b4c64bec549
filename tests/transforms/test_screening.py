"""Bars that cannot be true are held back with the reason; imprecise ones pass."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_rows import bar, market

from riskcast.transforms.screening import BELIEVABLE, POSITIVE, SPANNED, screen


def days(symbol: str, closes: list[float], basis: str = "adjusted"):
    first = date(2018, 7, 2)
    return market(
        *(
            bar(symbol, first + timedelta(days=n), close=close, price_basis=basis)
            for n, close in enumerate(closes)
        )
    )


def rules(**values: object) -> list[str]:
    return screen(market(bar("SPY", "2018-07-02", **values)))[1]["rule"].to_list()


def test_good_bars_pass_as_they_are():
    given_ = days("SPY", [100.0, 101.0, 70.0, 100.0])
    passed, held = screen(given_)
    assert passed.equals(given_)
    assert held.is_empty()


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "adj_close"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_no_positive_number_is_held(name, value):
    assert rules(**{name: value}) == [POSITIVE]


def test_oil_may_be_negative_but_not_undefined():
    assert rules(close=-37.0, price_basis="spot") == []
    assert rules(close=math.nan, price_basis="spot") == [POSITIVE]


@pytest.mark.parametrize("values", [{"high": 99.0}, {"low": 101.0}, {"high": 90.0, "low": 95.0}])
def test_a_traded_bar_whose_range_does_not_span_it_is_held(values):
    assert rules(**values) == [SPANNED]


def test_an_index_close_outside_its_range_is_left_to_curating():
    assert rules(high=99.0, low=98.0, price_basis="index") == []
    assert rules(high=98.0, low=99.0, price_basis="index") == [SPANNED]


def test_what_is_not_given_is_not_judged():
    assert rules(open=None, high=None, low=None) == []


def test_a_spike_is_held_and_the_bar_after_it_is_not():
    passed, held = screen(days("SPY", [100.0, 1000.0, 101.0]))
    assert held["date"].to_list() == [date(2018, 7, 3)]
    assert held["rule"].to_list() == [BELIEVABLE]
    assert held["reason"].to_list() == ["+230.3% from 100 to 1000, limit 40%"]
    assert passed.height == 2


def test_a_level_that_jumped_for_good_is_held_until_someone_looks():
    _, held = screen(days("SPY", [100.0, 300.0, 301.0, 302.0]))
    assert held.height == 3


def test_a_fear_index_may_more_than_double_in_a_day():
    assert screen(days("VIX", [17.3, 37.3], "index"))[1].is_empty()
    assert screen(days("VIX", [17.3, 170.0], "index"))[1].height == 1


def test_a_bad_bar_does_not_make_the_next_a_jump():
    _, held = screen(days("SPY", [100.0, 0.0, 100.0]))
    assert held["rule"].to_list() == [POSITIVE]


def test_a_jump_is_not_measured_from_one_symbol_to_the_next():
    both = days("A", [1.0, 1.0]).vstack(days("B", [1000.0, 1000.0]))
    assert screen(both)[1].is_empty()


@settings(deadline=None)
@given(
    st.lists(
        st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([100.0, 101.0, 0.0]),
        min_size=1,
        max_size=12,
    )
)
def test_nothing_is_lost_or_doubled(closes):
    given_ = days("SPY", closes)
    passed, held = screen(given_)
    assert sorted([*passed["date"], *held["date"]]) == given_["date"].to_list()
    assert held["reason"].null_count() == 0
