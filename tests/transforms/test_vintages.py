"""What a delivery adds to the bars stored, and under which instant."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_rows import bar, market, utc

from riskcast.core.window import Window
from riskcast.transforms.sessions import known_at, xnys_sessions
from riskcast.transforms.vintages import new_vintages

NOTHING = market().clear()
DAYS = xnys_sessions(date(2018, 7, 1), date(2018, 7, 31))["session"].to_list()


def closes(first: int, last: int, factor: float = 1.0, symbol: str = "SPY") -> pl.DataFrame:
    """Bars of the sessions numbered first to last; close is 100 + number, adjusted by factor."""
    return market(
        *(
            bar(symbol, DAYS[n], close=100.0 + n, adj_close=(100.0 + n) * factor,
                price_basis="raw+adj")
            for n in range(first, last + 1)
        )
    )  # fmt: skip


def day(n: int, hours: float = 1.0) -> Window:
    """The window of session n, which ends `hours` after its bar is known."""
    ends = known_at(pl.Series([DAYS[n - 1], DAYS[n]]))
    later = timedelta(hours=hours)
    return Window(ends[0] + later, ends[1] + later)


def told(rows: pl.DataFrame) -> list[tuple]:
    return rows.select("date", "adj_close", "known_at").rows()


def test_bars_of_the_window_keep_the_instant_of_their_close():
    delivered = closes(0, 3)
    found = new_vintages(delivered, NOTHING, day(3))
    assert told(found) == told(delivered.tail(1)), "a history begins with its first window"


def test_equal_bars_are_left_alone_and_a_rerun_changes_nothing():
    stored = new_vintages(closes(0, 3), closes(0, 2), day(3))
    assert told(stored) == told(closes(3, 3))
    assert new_vintages(closes(0, 3), pl.concat([closes(0, 2), stored]), day(3)).is_empty()


def test_restated_bars_are_known_with_the_first_new_bar_of_their_symbol():
    found = new_vintages(closes(0, 4, 0.98), closes(0, 2), Window(day(3).start, day(4).end))
    at = known_at(pl.Series([DAYS[3], DAYS[4]]))
    assert found["known_at"].to_list() == [at[0]] * 3 + [at[0], at[1]]
    assert found["adj_close"].to_list() == pytest.approx([98, 98.98, 99.96, 100.94, 101.92])


def test_bars_restated_without_a_new_one_are_known_at_the_end_of_the_window():
    window = Window(day(3).start, day(3).end)
    found = new_vintages(closes(0, 3, 0.98), closes(0, 3), window)
    assert found["known_at"].unique().to_list() == [window.end]
    assert found.height == 4


def test_a_past_window_run_again_learns_nothing_from_what_a_vendor_says_today():
    stored = closes(0, 10)
    assert new_vintages(closes(0, 5, 0.98), stored, day(5)).is_empty()


def test_one_symbol_at_its_head_does_not_let_another_learn():
    stored = pl.concat([closes(0, 10), closes(0, 4, symbol="TLT")])
    delivered = pl.concat([closes(0, 5, 0.98), closes(0, 5, 0.98, symbol="TLT")])
    found = new_vintages(delivered, stored, day(5))
    assert set(found["symbol"]) == {"TLT"}
    assert found.height == 6


def test_a_bar_missing_before_the_window_is_late_and_known_with_the_new_ones():
    stored = closes(0, 4).filter(pl.col("date") != DAYS[3])
    found = new_vintages(closes(0, 5), stored, day(5))
    at = known_at(pl.Series([DAYS[5]]))[0]
    assert found.select("date", "known_at").rows() == [(DAYS[3], at), (DAYS[5], at)]


def test_the_last_digits_of_a_price_are_no_restatement():
    assert new_vintages(closes(0, 3, 1 + 5e-8), closes(0, 3), day(3)).is_empty()
    assert new_vintages(closes(0, 3, 1 + 5e-6), closes(0, 3), day(3)).height == 4


@pytest.mark.parametrize(
    "change", [{"high": None}, {"price_basis": "adjusted"}, {"volume": 5.0}, {"open": 98.0}]
)
def test_any_value_may_be_restated(change):
    told_now = closes(0, 3).with_columns(**{n: pl.lit(v) for n, v in change.items()})
    assert new_vintages(told_now.cast(closes(0, 0).schema), closes(0, 3), day(3)).height == 4


def test_a_restatement_taken_back_is_one_more_vintage():
    stored = pl.concat([closes(0, 3), new_vintages(closes(0, 3, 0.98), closes(0, 3), day(3))])
    back = new_vintages(closes(0, 4), stored, day(4))
    assert back.height == 5
    assert back["known_at"].min() == known_at(pl.Series([DAYS[4]]))[0]


@settings(deadline=None, max_examples=50)
@given(
    factors=st.lists(st.sampled_from([1.0, 0.99, 0.5, 2.0]), min_size=6, max_size=14),
    again=st.integers(1, 5),
)
def test_what_was_stored_is_never_touched_and_nothing_new_is_known_before_its_window(
    factors, again
):
    """Any history of restatements: instants never repeat a key, and reruns give nothing."""
    stored, factor = closes(0, 0), 1.0
    for n, each in enumerate(factors, start=1):
        factor *= each
        found = new_vintages(closes(max(0, n - 9), n, factor), stored, day(n))
        assert (found["known_at"] > day(n).start).all()
        assert (found["known_at"] <= day(n).end).all()
        stored = pl.concat([stored, found])
        assert not stored.select("symbol", "date", "known_at").is_duplicated().any()
        assert new_vintages(closes(max(0, n - 9), n, factor), stored, day(n)).is_empty()
    past = day(again)
    assert new_vintages(closes(0, again, 0.7), stored, past).is_empty()
    assert utc("2018-01-01T00:00") < stored["known_at"].min()
