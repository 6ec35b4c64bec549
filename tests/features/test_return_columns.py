import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from tests.features.frames import bars

from riskcast.features.returns import core_columns, drawdown, market_columns, negative_share, rsi

N = 320


@pytest.fixture(scope="module")
def spy():
    return bars("SPY", np.random.default_rng(5).standard_t(3, N) * 0.01)


@pytest.fixture(scope="module")
def made(spy):
    price, returns = pl.col("adj_close"), pl.col("ret")
    return spy.select(**market_columns(price, returns), **core_columns(price, returns)).to_pandas()


def windows(values, n):
    """Every full trailing window as a list, None where it is not full or has a gap."""
    rows = []
    for end in range(len(values)):
        window = values[end - n + 1 : end + 1] if end >= n - 1 else []
        rows.append(list(window) if len(window) and not np.isnan(window).any() else None)
    return rows


def by_window(values, n, formula):
    return np.array([np.nan if w is None else formula(np.array(w)) for w in windows(values, n)])


def same(made, expected, rtol=1e-10):
    np.testing.assert_allclose(np.asarray(made, float), expected, rtol=rtol, atol=1e-13)


def test_returns_and_volatility_are_those_of_plain_windows(spy, made):
    ret = spy["ret"].to_numpy()
    for n in (1, 5, 10, 20):
        same(made[f"spy_ret_{n}d"], by_window(ret, n, np.sum))
    for n in (5, 10, 20):
        same(made[f"spy_vol_{n}d"], by_window(ret, n, lambda w: w.std(ddof=1) * math.sqrt(252)))


def test_skewness_and_kurtosis_are_those_of_scipy(spy, made):
    ret = spy["ret"].to_numpy()
    same(made["skew_20d"], by_window(ret, 20, lambda w: stats.skew(w, bias=False)), 1e-9)
    same(made["kurt_20d"], by_window(ret, 20, lambda w: stats.kurtosis(w, bias=False)), 1e-9)


def test_drawdowns_measure_from_the_highest_close_of_the_window(spy, made):
    close = spy["adj_close"].to_numpy()
    same(made["drawdown_60d"], by_window(close, 60, lambda w: math.log(w[-1] / w.max())))
    same(made["dd"], by_window(close, 252, lambda w: math.log(w[-1] / w.max())))
    assert pl.select(drawdown(pl.Series([5.0, 4.0, 8.0, 2.0]), 2)).to_series().to_list() == [
        None,
        math.log(4 / 5),
        0.0,
        math.log(2 / 8),
    ]


def wilder(close, n=14):
    """The index as a clerk with a pencil would keep it."""
    index, gain, loss = [None] * len(close), 0.0, 0.0
    for t in range(1, len(close)):
        up, down = max(close[t] - close[t - 1], 0.0), max(close[t - 1] - close[t], 0.0)
        if t <= n:
            gain, loss = gain + up / n, loss + down / n
        else:
            gain, loss = (gain * (n - 1) + up) / n, (loss * (n - 1) + down) / n
        if t >= n:
            index[t] = 100.0 if loss == 0 else 100.0 - 100.0 / (1.0 + gain / loss)
    return np.array(index, dtype=float)


def test_the_strength_index_is_that_of_a_wilder_loop(spy, made):
    same(made["rsi_spy_14"], wilder(spy["adj_close"].to_list()))


def test_the_strength_index_is_100_without_losses_and_unknown_without_moves():
    rising = pl.select(rsi(pl.Series([float(n) for n in range(1, 20)]))).to_series()
    flat = pl.select(rsi(pl.Series([7.0] * 19))).to_series()
    assert rising.to_list() == [None] * 14 + [100.0] * 5
    assert flat.null_count() == 19


def test_log_variances_and_scaled_returns_are_those_of_plain_windows(spy, made):
    ret = spy["ret"].to_numpy()
    for n in (5, 22):
        same(made[f"rv{n}"], by_window(ret, n, lambda w: math.log((w**2).mean())))
    same(made["r1neg"], by_window(ret, 22, lambda w: max(-w[-1], 0.0) / w.std(ddof=1)))
    same(made["r5s"], by_window(ret, 22, lambda w: w[-5:].sum() / w.std(ddof=1)))
    for n in (5, 22):
        same(made[f"neg{n}"], by_window(ret, n, lambda w: (w[w < 0] ** 2).sum() / (w**2).sum()))


def test_the_share_of_losses_is_one_half_for_equal_losses_and_gains():
    share = pl.select(negative_share(pl.Series([0.01, -0.01, 0.02, -0.02, 0.0]), 4)).to_series()
    assert share[3] == pytest.approx(0.5)
    assert share[4] == pytest.approx(5 / 9)


def test_a_market_that_does_not_move_has_floored_variance_and_unknown_shape():
    still = bars("SPY", [0.0] * 300)
    price, returns = pl.col("adj_close"), pl.col("ret")
    row = still.select(**market_columns(price, returns), **core_columns(price, returns)).row(
        -1, named=True
    )
    assert row["rv5"] == row["rv22"] == pytest.approx(math.log(1e-8))
    assert row["skew_20d"] is row["kurt_20d"] is row["neg5"] is row["rsi_spy_14"] is None
    assert row["r1neg"] == row["r5s"] == row["dd"] == 0.0


def test_a_missing_return_makes_every_window_over_it_unknown(spy):
    holed = spy.with_columns(
        pl.when(pl.int_range(pl.len()) != 100).then(pl.col("ret")).alias("ret")
    )
    made = holed.select(**core_columns(pl.col("adj_close"), pl.col("ret")))
    unknown = pd.Series(made["rv22"].is_null().to_numpy())
    assert unknown[unknown].index.tolist() == [*range(22), *range(100, 122)]
