import math

import numpy as np
import polars as pl
import pytest
from tests.features.frames import bars

from riskcast.features.ranges import (
    garman_klass,
    overnight,
    parkinson,
    range_columns,
    rogers_satchell,
    yang_zhang,
)

OHLC = [pl.col(name) for name in ("open", "high", "low", "close")]
RET = pl.col("ret")


@pytest.fixture
def two_bars():
    """Logs by hand: bar 1 O 0, H .02, L -.01, C .01; bar 2 opens .01 below and rises .03."""
    return pl.DataFrame(
        {
            "open": np.exp([0.00, 0.00]),
            "high": np.exp([0.02, 0.03]),
            "low": np.exp([-0.01, 0.00]),
            "close": np.exp([0.01, 0.03]),
            "ret": [0.02, 0.02],
        }
    )


def first(frame, expr):
    return frame.select(expr).to_series()[0]


def test_range_estimators_give_the_values_computed_by_hand(two_bars):
    open_, high, low, close = OHLC
    # Parkinson: .03^2 / (4 ln 2); Garman-Klass: .03^2 / 2 - .386294 x .01^2;
    # Rogers-Satchell: .02 (.02 - .01) + -.01 (-.01 - .01); jump: .02 - .01
    assert first(two_bars, parkinson(high, low)) == pytest.approx(3.246063e-4, rel=1e-6)
    assert first(two_bars, garman_klass(*OHLC)) == pytest.approx(4.1137056e-4, rel=1e-7)
    assert first(two_bars, rogers_satchell(*OHLC)) == pytest.approx(4e-4)
    assert first(two_bars, overnight(open_, close, RET)) == pytest.approx(0.01)


def test_yang_zhang_gives_the_value_computed_by_hand(two_bars):
    # Overnight .01 and -.01: variance 2e-4. Open to close .01 and .03: 2e-4. Rogers-Satchell 4e-4
    # and 0: mean 2e-4. So 2e-4 + k 2e-4 + (1 - k) 2e-4 for any k.
    values = two_bars.select(yang_zhang(*OHLC, RET, sessions=2)).to_series().to_list()
    assert values[0] is None
    assert values[1] == pytest.approx(4e-4)


def test_yang_zhang_weighs_as_in_the_paper():
    frame = bars("SPY", np.random.default_rng(1).normal(0, 0.01, 11))
    o, h, lo, c = (np.log(frame[x].to_numpy()) for x in ("open", "high", "low", "close"))
    jump, u, d, day = o[1:] - c[:-1], (h - o)[1:], (lo - o)[1:], (c - o)[1:]
    n = 10
    k = 0.34 / (1 + 0.34 + (n + 1) / (n - 1))
    expected = (
        ((jump - jump.mean()) ** 2).sum() / (n - 1)
        + k * ((day - day.mean()) ** 2).sum() / (n - 1)
        + (1 - k) * (u * (u - day) + d * (d - day)).mean()
    )
    made = frame.select(yang_zhang(*OHLC, RET, sessions=n)).to_series()
    assert made[10] == pytest.approx(expected, rel=1e-10)
    assert made[:10].null_count() == 10


def test_estimators_recover_the_variance_of_a_simulated_diffusion():
    rng, steps, sessions, variance = np.random.default_rng(4), 1000, 3000, 1e-4
    paths = np.cumsum(rng.normal(0, math.sqrt(variance / steps), (sessions, steps)), axis=1)
    day = pl.DataFrame(
        {
            "open": np.ones(sessions),
            "high": np.exp(np.maximum(paths.max(axis=1), 0)),
            "low": np.exp(np.minimum(paths.min(axis=1), 0)),
            "close": np.exp(paths[:, -1]),
        }
    )
    for estimator in (parkinson(*OHLC[1:3]), garman_klass(*OHLC), rogers_satchell(*OHLC)):
        mean = day.select(estimator.mean()).item()
        # Extremes of a path seen at 1,000 points are a little short of the true ones.
        assert 0.90 * variance < mean < 1.02 * variance


@pytest.mark.parametrize("basis", ["adjusted", "raw+adj"])
def test_session_variance_is_overnight_plus_garman_klass_where_opens_are_trusted(basis):
    frame = bars("SPY", np.random.default_rng(2).normal(0, 0.01, 90))
    o, h, lo, c = (np.log(frame[x].to_numpy()) for x in ("open", "high", "low", "close"))
    jump = o[1:] - c[:-1]
    session = jump**2 + 0.5 * (h - lo)[1:] ** 2 - (2 * math.log(2) - 1) * (c - o)[1:] ** 2
    made = frame.select(**range_columns(basis))
    for n in (1, 5, 22, 66):
        expected = [math.log(session[t - n : t].mean()) for t in range(n, 90)]
        np.testing.assert_allclose(made[f"tv{n}"][n:].to_numpy(), expected, rtol=1e-10)
        assert made[f"tv{n}"].null_count() == n


@pytest.mark.parametrize("basis", ["index", "spot"])
def test_opens_never_enter_the_variance_of_an_index(basis):
    frame = bars("GSPC", np.random.default_rng(2).normal(0, 0.01, 90))
    made = frame.select(**range_columns(basis))
    blind = frame.with_columns(open=pl.lit(None, pl.Float64)).select(**range_columns(basis))
    assert made.equals(blind)
    daily = np.log(frame["high"].to_numpy() / frame["low"].to_numpy()) ** 2 / (4 * math.log(2))
    for name, n in {"tv1": 1, "tv5": 5, "tv22": 22, "tv66": 66, "yz10": 10}.items():
        expected = [math.log(daily[t - n + 1 : t + 1].mean()) for t in range(n - 1, 90)]
        np.testing.assert_allclose(made[name][n - 1 :].to_numpy(), expected, rtol=1e-10)


def test_an_open_that_is_unknown_leaves_its_windows_unknown():
    frame = bars("SPY", np.random.default_rng(2).normal(0, 0.01, 60)).with_columns(
        open=pl.when(pl.int_range(pl.len()) != 30).then(pl.col("open"))
    )
    made = frame.select(**range_columns("adjusted"))
    assert made["tv5"].is_null().arg_true().to_list() == [*range(5), *range(30, 35)]
    assert made["yz10"].is_null().arg_true().to_list() == [*range(10), *range(30, 40)]


def test_a_session_without_a_range_is_floored():
    frame = bars("GSPC", [0.0] * 12).with_columns(high=pl.lit(100.0), low=pl.lit(100.0))
    assert frame.select(**range_columns("index"))["tv1"][3] == pytest.approx(math.log(1e-8))
