import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.diebold_mariano import diebold_mariano


def overlapping(n: int = 400, mean: float = 0.1, seed: int = 0):
    noise = np.random.default_rng(seed).normal(size=n + 4)
    return mean + np.convolve(noise, np.ones(5) / 5, "valid"), np.zeros(n)


def test_it_is_the_newey_west_t_of_statsmodels_times_the_small_sample_correction():
    loss, zero = overlapping()
    n, h = len(loss), 5
    kwds = {"maxlags": 10, "use_correction": False}
    reference = sm.OLS(loss, np.ones(n)).fit(cov_type="HAC", cov_kwds=kwds)
    correction = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    test = diebold_mariano(loss, zero)
    assert test.statistic == pytest.approx(reference.tvalues[0] * correction, rel=1e-10)
    assert test.p == pytest.approx(2 * stats.t.sf(abs(test.statistic), n - 1), rel=1e-12)


def test_for_one_step_without_lags_it_is_students_t():
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.1, -0.2, 0.5, 0.3])
    reference = stats.ttest_1samp(d, 0.0)
    test = diebold_mariano(d, np.zeros(8), horizon=1, lag=0)
    assert (test.statistic, test.p) == pytest.approx((reference.statistic, reference.pvalue))


def test_a_negative_statistic_favours_the_candidate():
    loss, zero = overlapping(mean=0.3)
    assert diebold_mariano(zero, loss).better(0.05)
    assert diebold_mariano(loss, zero).worse(0.05)
    assert diebold_mariano(zero, loss).difference == pytest.approx(-loss.mean())


def test_equal_losses_are_neither_better_nor_worse():
    loss, _ = overlapping()
    test = diebold_mariano(loss, loss.copy())
    assert (test.statistic, test.p) == (0.0, 1.0)
    assert not test.better(0.05)
    assert not test.worse(0.05)


def test_equal_skill_is_rejected_about_as_often_as_the_level_says():
    rejected = [diebold_mariano(*overlapping(mean=0.0, seed=s)).p < 0.05 for s in range(400)]
    assert 0.03 < np.mean(rejected) < 0.11


def test_overlap_ignored_would_reject_far_too_often():
    naive = [
        diebold_mariano(*overlapping(mean=0.0, seed=s), horizon=1, lag=0).p < 0.05
        for s in range(400)
    ]
    assert np.mean(naive) > 0.25


def test_what_cannot_be_tested_is_an_error():
    with pytest.raises(NotEnoughHistory):
        diebold_mariano(np.arange(20.0), np.zeros(20))
    with pytest.raises(ValueError, match="finite"):
        diebold_mariano(np.full(100, np.nan), np.zeros(100))
    with pytest.raises(ValueError, match="lag"):
        diebold_mariano(np.ones(100), np.zeros(100), horizon=5, lag=3)
