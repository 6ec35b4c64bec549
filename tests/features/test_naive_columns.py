import math

import numpy as np
import polars as pl
import pytest
from tests.features.frames import bars

from riskcast.core.clock import seconds
from riskcast.features.naive import naive_columns
from riskcast.features.thresholds import expanding_quantiles, threshold_columns
from riskcast.features.vix import vix_columns
from riskcast.features.windows import seeded_ewm

N = 150


@pytest.fixture(scope="module")
def spy():
    return bars("SPY", np.random.default_rng(11).standard_t(4, N) * 0.01)


def test_naive_forecasts_are_five_times_a_daily_variance(spy):
    square = spy["ret"].to_numpy() ** 2
    made = spy.select(**naive_columns(pl.col("ret")))
    h = square[1:21].mean()
    for t in range(20, N):
        if t > 20:
            h = 0.94 * h + 0.06 * square[t]
        assert made["ewma"][t] == pytest.approx(5 * h, rel=1e-11)
        assert made["ew94"][t] == pytest.approx(math.log(h), rel=1e-11)
        assert made["hv20"][t] == pytest.approx(5 * square[t - 19 : t + 1].mean(), rel=1e-11)
        assert made["mean_var"][t] == pytest.approx(5 * square[1 : t + 1].mean(), rel=1e-11)
    assert made["ewma"].null_count() == made["hv20"].null_count() == 20
    assert made["mean_var"].null_count() == 1


def test_a_gap_is_unknown_in_an_average_and_does_not_move_it():
    x = pl.Series([1.0, 3.0, None, 4.0])
    assert pl.select(seeded_ewm(pl.lit(x), alpha=0.5, seed=2)).to_series().to_list() == [
        None,
        2.0,
        None,
        3.0,
    ]


def test_the_start_of_an_average_rests_on_the_first_known_values_only():
    x = pl.Series([None, 1.0, None, 3.0, None, 6.0])
    assert pl.select(seeded_ewm(pl.lit(x), alpha=0.25, seed=2)).to_series().to_list() == [
        None,
        None,
        None,
        2.0,
        None,
        3.0,
    ]


def test_vix_columns_follow_their_definitions():
    rng = np.random.default_rng(9)
    vix = 20 * np.exp(np.cumsum(rng.normal(0, 0.05, 60)))
    frame = pl.DataFrame({"v": vix, "v3": vix * 1.1, "h": vix * 1.05, "l": vix * 0.97})
    made = frame.select(**vix_columns(pl.col("v"), pl.col("v3"), pl.col("h"), pl.col("l")))
    level = np.log(vix)
    ema = level[:22].mean()
    for t in range(22, 60):
        ema += 2 / 23 * (level[t] - ema)
        assert made["vixgap"][t] == pytest.approx(level[t] - ema, abs=1e-12)
        assert made["dvix5"][t] == pytest.approx(level[t] - level[t - 5], abs=1e-12)
        assert made["dvix1"][t] == pytest.approx(level[t] - level[t - 1], abs=1e-12)
        assert made["lvix"][t] == pytest.approx(math.log(vix[t] ** 2 / 252 / 1e4), rel=1e-12)
        assert made["vixhl"][t] == pytest.approx(math.log(1.05 / 0.97), rel=1e-12)
        assert made["vix_term"][t] == pytest.approx(1.1, rel=1e-12)


def test_expanding_quantiles_are_those_of_numpy_on_each_prefix():
    values = np.random.default_rng(8).lognormal(size=60).tolist()
    values[7] = None
    rows = expanding_quantiles(values, (0.33, 0.5, 0.67, 0.85), min_values=10)
    for t, row in enumerate(rows):
        known = [v for v in values[: t + 1] if v is not None]
        if len(known) < 10:
            assert row is None
        else:
            np.testing.assert_allclose(row, np.quantile(known, [0.33, 0.5, 0.67, 0.85]), rtol=1e-12)


def test_thresholds_wait_for_five_hundred_labels():
    made = threshold_columns(pl.Series([None] * 5 + [0.01] * 502, dtype=pl.Float64))
    for name in ("rv5_q33", "rv5_q50", "rv5_q67", "rv5_q85"):
        assert made[name].is_not_null().arg_true().to_list() == [504, 505, 506]
        assert made[name][504] == 0.01


def test_thresholds_of_a_century_take_no_time_to_speak_of():
    realised = pl.Series(np.random.default_rng(0).lognormal(-4, 0.5, 8000))
    started = seconds()
    threshold_columns(realised)
    assert seconds() - started < 0.3
