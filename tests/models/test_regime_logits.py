from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models.regime_logits import (
    ALPHA,
    MIN_ROWS,
    RegimeLogits,
    classes,
    fit_logits,
    ridge_logit,
    temperature_of,
)

N = 2000
COLUMNS = ("tv1", "tv5")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
LOG_H = -7.5 + 0.5 * RNG.normal(size=N)
# The first column says what the forecast misses.
RV = np.sqrt(np.exp(LOG_H + 0.6 * X[:, 0] + 0.5 * RNG.normal(size=N)))
BOUNDS = np.tile([0.02, 0.03], (N, 1))
END = date(2018, 6, 29)
LOGITS = fit_logits(COLUMNS, X, LOG_H, RV, BOUNDS, fit_end=END)
IMPLIED = np.full((N, 3), 1 / 3)


def test_an_outcome_on_a_bound_is_a_transition():
    found = classes(np.array([0.019, 0.02, 0.03, 0.031]), np.tile([0.02, 0.03], (4, 1)))
    assert found.tolist() == [0, 1, 1, 2]


def test_logits_are_the_penalised_regression_of_scikit_learn():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(800, 3))
    above = (rng.random(800) < expit(z @ [1.0, -1.0, 0.0])).astype(float)
    ours = ridge_logit(np.column_stack([np.ones(800), np.zeros(800), z]), above)
    theirs = LogisticRegression(C=1 / ALPHA, tol=1e-10).fit(z, above)
    np.testing.assert_allclose(ours[2:], theirs.coef_[0], atol=1e-5)
    assert ours[0] == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_probabilities_learn_what_the_forecast_misses():
    probs, outcome = LOGITS.probs(X, LOG_H, BOUNDS), classes(RV, BOUNDS)
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    for k in range(3):
        assert probs[:, k].mean() == pytest.approx((outcome == k).mean(), abs=0.02)
    assert np.corrcoef(probs[:, 2], X[:, 0])[0, 1] > 0.3


@given(
    x=arrays(float, (5, 2), elements=st.floats(-50, 50)),
    log_h=arrays(float, 5, elements=st.floats(-14, -1)),
    bounds=arrays(float, (5, 2), elements=st.floats(0, 0.5)),
)
def test_a_blend_is_always_a_distribution(x, log_h, bounds):
    probs = LOGITS.at(1.7).blend(IMPLIED[:5], x, log_h, np.sort(bounds, axis=1))
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert (probs > 0).all()


def test_without_thresholds_there_are_no_probabilities():
    bounds = BOUNDS[:2].copy()
    bounds[0, 1] = np.nan
    probs = LOGITS.blend(IMPLIED[:2], X[:2], LOG_H[:2], bounds)
    assert np.isnan(probs[0]).all()
    assert np.isfinite(probs[1]).all()


def test_temperature_undoes_what_sharpened_or_softened_the_truth():
    truth = np.random.default_rng(2).dirichlet([2, 2, 2], size=20000)
    outcome = (np.random.default_rng(3).random((20000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    for power in (0.7, 1.0, 1.4):
        bent = truth**power / (truth**power).sum(axis=1, keepdims=True)
        assert temperature_of(bent, outcome) == pytest.approx(1 / power, abs=0.05)


def test_temperature_waits_for_thirty_cases_of_each_class():
    probs = np.tile([0.9, 0.05, 0.05], (200, 1))
    assert temperature_of(probs, np.r_[np.zeros(171), np.ones(29)].astype(int)) == 1.0


def test_too_few_outcomes_or_a_class_too_rare_are_refused():
    few = slice(0, MIN_ROWS - 1)
    with pytest.raises(NotEnoughHistory, match=str(MIN_ROWS)):
        fit_logits(COLUMNS, X[few], LOG_H[few], RV[few], BOUNDS[few], fit_end=END)
    never = np.tile([0.02, 9.0], (N, 1))
    with pytest.raises(NotEnoughHistory, match="rarest"):
        fit_logits(COLUMNS, X, LOG_H, RV, never, fit_end=END)


def test_stored_logits_are_the_same_to_the_bit():
    again = RegimeLogits.load(LOGITS.at(1.1).dump())
    given_ = (IMPLIED, X, LOG_H, BOUNDS)
    np.testing.assert_array_equal(again.blend(*given_), LOGITS.at(1.1).blend(*given_))
    assert again.dump() == LOGITS.at(1.1).dump()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"temperature": 1.0', b'"temperature": 9.0'),
        (b'"scale": [', b'"scale": [-'),
        (b'"low": [', b'"low": [1.0, '),
        (b'"fit_end": "2018', b'"fit_end": "x018'),
    ],
)
def test_altered_logits_are_refused(old, new):
    files = LOGITS.dump()
    assert old in files["regimes.json"]
    with pytest.raises(ArtifactRefused):
        RegimeLogits.load({"regimes.json": files["regimes.json"].replace(old, new, 1)})
