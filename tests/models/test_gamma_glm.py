import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import GammaRegressor
from synthetic_design import COLUMNS, design

from riskcast.core.errors import FitFailed
from riskcast.models.gamma_glm import GammaGlm, load, newton
from riskcast.models.linear import LogOls


def qlike(y, log_h):
    ratio = y / np.exp(log_h)
    return (ratio - np.log(ratio) - 1).mean()


def test_without_penalty_it_is_the_gamma_glm_of_statsmodels():
    rows = design()
    fitted = GammaGlm(COLUMNS, alpha=0.0, clip=np.inf).fit(rows, seed=0)
    family = sm.families.Gamma(sm.families.links.Log())
    reference = sm.GLM(rows.y, sm.add_constant(rows.x), family=family).fit(tol=1e-12)
    np.testing.assert_allclose(
        fitted.log_variance(rows.x), np.log(reference.fittedvalues), atol=1e-7
    )


def test_with_penalty_it_is_the_gamma_regression_of_scikit_learn():
    rows = design()
    fitted = GammaGlm(COLUMNS, alpha=0.02, clip=np.inf).fit(rows, seed=0)
    z = (rows.x - rows.x.mean(0)) / rows.x.std(0)
    reference = GammaRegressor(alpha=0.02, solver="newton-cholesky", tol=1e-12).fit(z, rows.y)
    np.testing.assert_allclose(fitted.beta, reference.coef_, atol=1e-6)
    assert fitted.base == pytest.approx(reference.intercept_, abs=1e-6)


def test_no_small_step_lowers_its_qlike():
    rows = design()
    fitted = GammaGlm(COLUMNS, alpha=0.0).fit(rows, seed=0)
    z = fitted.standardiser.transform(rows.x)
    best = qlike(rows.y, z @ fitted.beta + fitted.base)
    for j in range(len(COLUMNS)):
        for step in (-1e-3, 1e-3):
            beta = fitted.beta.copy()
            beta[j] += step
            assert qlike(rows.y, z @ beta + fitted.base) > best


def test_its_qlike_in_sample_beats_that_of_least_squares():
    rows = design()
    glm = GammaGlm(COLUMNS, alpha=0.0, clip=np.inf).fit(rows, seed=0)
    ols = LogOls(COLUMNS).fit(rows, seed=0)
    assert qlike(rows.y, glm.log_variance(rows.x)) < qlike(rows.y, ols.log_variance(rows.x))


def test_it_converges_from_outcomes_a_million_times_apart():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(400, 3))
    y = np.exp(rng.normal(scale=4, size=400)) * np.where(np.arange(400) % 50 == 0, 1e6, 1.0)
    base, beta = newton(z, y, 0.02)
    slope = z.T @ (y * np.exp(-base - z @ beta) - 1) / len(y) - 0.02 * beta
    assert np.abs(slope).max() < 1e-6


def test_a_regression_that_cannot_settle_is_a_named_error():
    with pytest.raises(FitFailed):
        newton(np.ones((50, 1)), np.full(50, np.nan), 0.02)


def test_collinear_columns_do_no_harm():
    rows = design()
    twice = np.column_stack([rows.x[:, 0], rows.x[:, 0]])
    base, beta = newton((twice - twice.mean(0)) / twice.std(0), rows.y, 0.0)
    assert np.isfinite([base, *beta]).all()


def test_contributions_add_up_and_a_stored_model_forecasts_the_same_to_the_bit():
    rows = design()
    fitted = GammaGlm(COLUMNS, alpha=0.02).fit(rows, seed=0)
    gap = fitted.contributions(rows.x).sum(axis=1) - fitted.log_variance(rows.x)
    assert np.abs(gap).max() < 1e-12
    again = load(fitted.dump())
    np.testing.assert_array_equal(again.log_variance(rows.x), fitted.log_variance(rows.x))
