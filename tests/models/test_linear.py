import numpy as np
import pytest
import statsmodels.api as sm
from synthetic_design import COLUMNS, design

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models.linear import CLIP, LogOls, LogRidge, load, smearing
from riskcast.models.standardise import Standardiser


def test_log_har_is_ordinary_least_squares_with_duan_smearing():
    rows = design()
    fitted = LogOls(COLUMNS).fit(rows, seed=0)
    reference = sm.OLS(np.log(rows.y), sm.add_constant(rows.x)).fit()
    expected = reference.fittedvalues + np.log(np.mean(np.exp(reference.resid)))
    np.testing.assert_allclose(fitted.log_variance(rows.x), expected, atol=1e-9)


def test_smearing_makes_the_mean_of_y_right_in_the_training_window():
    rows = design()
    h = np.exp(LogOls(COLUMNS).fit(rows, seed=0).log_variance(rows.x))
    assert smearing(np.log(rows.y), np.log(h)) == pytest.approx(0.0, abs=1e-9)


def test_smearing_of_known_residuals():
    assert smearing(np.log([1.0, 4.0]), np.log([2.0, 2.0])) == pytest.approx(np.log(1.25))


def test_ridge_is_the_closed_form_on_clipped_z_scores():
    rows = design()
    fitted = LogRidge(COLUMNS, alpha=50.0).fit(rows, seed=0)
    z = np.clip((rows.x - rows.x.mean(0)) / rows.x.std(0), -CLIP, CLIP)
    zc, yc = z - z.mean(0), np.log(rows.y) - np.log(rows.y).mean()
    augmented = np.vstack([zc, np.sqrt(50.0) * np.eye(len(COLUMNS))])
    beta = np.linalg.lstsq(augmented, np.r_[yc, np.zeros(len(COLUMNS))], rcond=None)[0]
    np.testing.assert_allclose(fitted.beta, beta, rtol=1e-9)


def test_contributions_add_up_to_the_forecast():
    rows = design()
    for engine in (LogOls(COLUMNS), LogRidge(COLUMNS, alpha=50.0)):
        fitted = engine.fit(rows, seed=0)
        gap = fitted.contributions(rows.x).sum(axis=1) - fitted.log_variance(rows.x)
        assert np.abs(gap).max() < 1e-12


def test_an_unknown_value_sits_at_the_training_mean_and_contributes_nothing():
    rows = design()
    fitted = LogRidge(COLUMNS, alpha=50.0).fit(rows, seed=0)
    x = rows.x[:3].copy()
    x[1, 2] = np.nan
    assert fitted.contributions(x)[1, 2] == 0.0
    assert np.isfinite(fitted.log_variance(x)).all()


def test_an_extreme_value_is_clipped_by_ridge():
    rows = design()
    fitted = LogRidge(COLUMNS, alpha=50.0).fit(rows, seed=0)
    x = np.vstack([rows.x[0], rows.x[0]])
    x[:, 0] = rows.x[:, 0].mean() + rows.x[:, 0].std() * np.array([CLIP, 1e6])
    assert np.ptp(fitted.log_variance(x)) == pytest.approx(0.0, abs=1e-12)


def test_a_column_without_any_value_is_ignored():
    rows = design()
    x = rows.x.copy()
    x[:, 1] = np.nan
    standardiser = Standardiser.fit(x, CLIP)
    assert (standardiser.transform(x)[:, 1] == 0).all()
    assert np.isfinite(standardiser.scale).all()


def test_fit_end_is_the_session_at_which_the_newest_label_was_known():
    rows = design()
    assert LogOls(COLUMNS).fit(rows, seed=0).fit_end == rows.known[-1].item()


def test_too_few_rows_are_refused():
    with pytest.raises(NotEnoughHistory, match="5 columns"):
        LogOls(COLUMNS).fit(design().rows(slice(0, 20)), seed=0)


@pytest.mark.parametrize("engine", [LogOls(COLUMNS), LogRidge(COLUMNS, alpha=50.0)])
def test_a_stored_model_forecasts_the_same_to_the_bit(engine):
    rows = design()
    fitted = engine.fit(rows, seed=0)
    again = load(fitted.dump())
    np.testing.assert_array_equal(again.log_variance(rows.x), fitted.log_variance(rows.x))
    assert (again.columns, again.fit_end) == (fitted.columns, fitted.fit_end)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"beta"', b'"gamma"'),
        lambda text: text.replace(b'"beta": [', b'"beta": [1.0, '),
        lambda text: text.replace(b'"base": ', b'"base": 1e999, "x": '),
        lambda text: text.replace(b'"base": ', b'"base": NaN, "x": '),
        lambda text: text.replace(b'"base": ', b'"base": true, "x": '),
        lambda text: text.replace(b'"base": ', b'"base": 1' + b"0" * 400 + b', "x": '),
        lambda text: text.replace(b'"scale": [', b'"scale": [-'),
        lambda text: text.replace(b'"fit_end": "', b'"fit_end": "x'),
        lambda text: text.replace(b'"tv1"', b'"tv5"'),
        lambda text: text[:-5],
        lambda text: b"[" * 100_000,
        lambda text: b"\x80\x04\x95\xff",
        lambda text: b"[]",
        lambda text: b"",
    ],
)
def test_a_malformed_file_is_refused_by_name(change):
    text = LogOls(COLUMNS).fit(design(), seed=0).dump()["model.json"]
    with pytest.raises(ArtifactRefused, match=r"model\.json"):
        load({"model.json": change(text)})


def test_a_missing_file_is_refused():
    with pytest.raises(ArtifactRefused, match="missing"):
        load({})
