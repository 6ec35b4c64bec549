"""The planted shift: moves grow from its day on, and nothing before it is touched."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.sources import SampleSource, open_source
from riskcast.sources.shifted import ShiftedSource

SINCE = date(2018, 10, 1)
SPAN = Window.parse("2018-08-01", "2018-11-30")


def bars(source, window=SPAN):
    return source.fetch_market(window).filter(symbol="GSPC").sort("date")


@pytest.fixture(scope="module")
def both():
    sample = SampleSource("GSPC")
    return bars(sample), bars(ShiftedSource(sample, "GSPC", SINCE, 3.0))


def test_every_move_from_the_day_on_is_multiplied_and_none_before(both):
    was, is_now = both
    moves, shifted = (np.diff(np.log(each["close"].to_numpy())) for each in both)
    later = (was["date"] >= SINCE).to_numpy()[1:]
    np.testing.assert_allclose(shifted[later], 3 * moves[later], rtol=1e-9)
    assert was.filter(pl.col("date") < SINCE).equals(is_now.filter(pl.col("date") < SINCE))


def test_a_shifted_bar_is_still_possible(both):
    _, is_now = both
    assert (is_now["low"] <= is_now.select(pl.min_horizontal("open", "close")).to_series()).all()
    assert (is_now["high"] >= is_now.select(pl.max_horizontal("open", "close")).to_series()).all()


def test_a_window_gives_what_the_whole_gives(both):
    _, whole = both
    week = Window.parse("2018-10-08", "2018-10-12")
    part = bars(ShiftedSource(SampleSource("GSPC"), "GSPC", SINCE, 3.0), week)
    assert part.height == 5
    assert part.equals(whole.filter(pl.col("date").is_in(part["date"].implode())))


def test_other_symbols_are_left_alone():
    sample = SampleSource("GSPC")
    others = pl.col("symbol") != "GSPC"
    was, is_now = (
        s.fetch_market(SPAN).filter(others).sort("symbol", "date")
        for s in (sample, ShiftedSource(sample, "GSPC", SINCE, 3.0))
    )
    assert was.equals(is_now)


def test_the_setting_shifts_the_sample_and_a_wrong_one_is_refused():
    window = Window.parse("2018-09-24", "2018-10-05")
    plain, wild = (
        open_source(Settings(sample_shift=shift)).fetch_market(window).filter(symbol="GSPC")
        for shift in ("", "2018-10-01:4")
    )
    before = plain["date"] < date(2018, 10, 1)
    assert plain.filter(before).equals(wild.filter(before))
    moves = [rows["close"].log().diff().tail(4).to_numpy() for rows in (plain, wild)]
    assert moves[1] == pytest.approx(4 * moves[0])
    with pytest.raises(SettingsError, match="session:factor"):
        Settings(sample_shift="4")
