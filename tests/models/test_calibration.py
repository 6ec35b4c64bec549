import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.calibration import LEVELS, MEMORY, MIN_RATIOS, STEP, Calibration


def test_an_interval_ends_at_the_conformal_order_statistics():
    calibration = Calibration.of(np.arange(199.0)[::-1])  # 0..198
    low, high = calibration.intervals(np.zeros(1))[95][0]
    # (199 + 1) * 0.025 = 5: the 5th smallest; (199 + 1) * 0.975 = 195: the 195th.
    assert (2 * np.log(low), 2 * np.log(high)) == pytest.approx((4.0, 194.0))


def test_intervals_are_nested_and_scale_with_the_square_root_of_the_forecast():
    calibration = Calibration.of(np.random.default_rng(0).normal(size=500))
    ends = calibration.intervals(np.log([1e-4, 4e-4]))
    assert ends[95][0, 0] < ends[80][0, 0] < ends[50][0, 0]
    assert ends[50][0, 1] < ends[80][0, 1] < ends[95][0, 1]
    for level in LEVELS:
        np.testing.assert_allclose(ends[level][1], 2 * ends[level][0])


def test_new_ratios_from_the_same_distribution_fall_inside_as_often_as_promised():
    rng = np.random.default_rng(1)
    inside = {level: [] for level in LEVELS}
    for _ in range(200):
        ends = Calibration.of(rng.normal(size=150)).intervals(np.zeros(1))
        outcome = np.sqrt(np.exp(rng.normal(size=200)))
        for level in LEVELS:
            low, high = ends[level][0]
            inside[level].append(((outcome >= low) & (outcome <= high)).mean())
    for level in LEVELS:
        assert np.mean(inside[level]) == pytest.approx(level / 100, abs=0.015)
        assert np.mean(inside[level]) > level / 100 - 0.005


def test_an_end_moves_away_from_what_fell_beyond_it_by_the_rest_of_its_tail():
    calibration = Calibration.of(np.linspace(-2, 2, 401))
    moves = calibration.moves(-1.8)  # below 50% and 80%, inside 95%
    tails = np.array([[0.25, 0.75], [0.1, 0.9], [0.025, 0.975]])
    below = np.array([[1, 1], [1, 1], [0, 1]])
    np.testing.assert_allclose(moves, STEP * (tails - below))


@given(arrays(float, (3, 2), elements=st.floats(-3, 3)))
def test_intervals_are_nested_however_their_ends_were_moved(shifts):
    ends = Calibration.of(np.linspace(-1, 1, 200), shifts).intervals(np.zeros(1))
    lows, highs = zip(*(ends[level][0] for level in (50, 80, 95)), strict=True)
    assert list(lows) == sorted(lows, reverse=True)
    assert list(highs) == sorted(highs)
    assert lows[0] <= highs[0]


@given(st.floats(-2, 2), st.integers(0, 20))
def test_crps_is_that_of_the_ensemble_by_definition(rv, seed):
    calibration = Calibration.of(np.random.default_rng(seed).normal(size=120))
    members = np.sqrt(np.exp(-1.0 + calibration.ratios))
    pairs = np.abs(members[:, None] - members).mean() / 2
    expected = np.abs(members - abs(rv)).mean() - pairs
    assert calibration.crps(-1.0, abs(rv)) == pytest.approx(expected)


def test_regime_probabilities_are_shares_of_past_ratios():
    ratios = np.log(np.linspace(0.5, 1.5, 101))
    low, high = np.sqrt([0.795, 1.205])
    probs = Calibration.of(ratios).regime_probs(np.zeros(1), np.array([[low, high]]))
    np.testing.assert_allclose(probs[0], (np.array([30, 41, 30]) + 0.5) / 102.5)


@given(
    log_h=arrays(float, 4, elements=st.floats(-14, -1)),
    bounds=arrays(float, (4, 2), elements=st.floats(1e-4, 0.5)),
)
def test_probabilities_sum_to_one_and_none_is_certain(log_h, bounds):
    calibration = Calibration.of(np.linspace(-2, 2, MIN_RATIOS))
    probs = calibration.regime_probs(log_h, np.sort(bounds, axis=1))
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert ((probs > 0) & (probs < 1)).all()


def test_a_higher_forecast_means_a_higher_probability_of_risk_off():
    calibration = Calibration.of(np.random.default_rng(0).normal(size=500))
    probs = calibration.regime_probs(np.linspace(-10, -5, 20), np.full((20, 2), [0.01, 0.03]))
    assert (np.diff(probs[:, 2]) >= 0).all()
    assert (np.diff(probs[:, 0]) <= 0).all()


def test_without_thresholds_there_are_no_probabilities():
    calibration = Calibration.of(np.linspace(-2, 2, MIN_RATIOS))
    probs = calibration.regime_probs(np.zeros(2), np.array([[0.01, np.nan], [0.01, 0.02]]))
    assert np.isnan(probs[0]).all()
    assert np.isfinite(probs[1]).all()


def test_only_the_newest_ratios_count():
    ratios = np.r_[np.full(500, 50.0), np.linspace(-1, 1, MEMORY)]
    assert Calibration.of(ratios).ratios.max() == 1.0


def test_too_few_ratios_are_refused():
    with pytest.raises(NotEnoughHistory, match=str(MIN_RATIOS)):
        Calibration.of(np.r_[np.zeros(MIN_RATIOS - 1), np.nan])
