"""Benchmarks of the econometrician, against `arch`, closed forms and known truths."""

import numpy as np
import pytest
from arch import arch_model

from riskcast.core.errors import FitFailed, NotEnoughHistory
from riskcast.models.arx import Arx, with_lags
from riskcast.models.base import Design
from riskcast.models.garch import Garch
from riskcast.models.level_har import LevelHar
from riskcast.models.linear import LogOls, training_target

N = 1500


def returns_design(*, gamma: float = 0.0, seed: int = 0) -> Design:
    """GARCH returns with known parameters; y is the sum of the next five squared returns."""
    rng = np.random.default_rng(seed)
    r, v = np.empty(N + 5), 1e-4
    for t in range(N + 5):
        r[t] = np.sqrt(v) * rng.normal()
        v = 2e-6 + (0.08 + gamma * (r[t] < 0)) * r[t] ** 2 + (0.9 - gamma / 2) * v
    y = np.convolve(r**2, np.ones(5), "valid")[1 : N + 1]
    days = np.busday_offset("2001-01-02", np.arange(N + 5), roll="forward")
    return Design(("ret",), r[:N, None], y, days[:N], days[5:])


@pytest.mark.parametrize(("leverage", "density"), [(0, "normal"), (1, "t")])
def test_the_five_session_variance_is_that_of_arch(leverage, density):
    rows = returns_design(gamma=0.05 * leverage)
    ours = Garch(("ret",), leverage=leverage, density=density).fit(rows, seed=0)
    model = arch_model(100 * rows.x[:, 0], mean="Zero", p=1, o=leverage, q=1, dist=density)
    theirs = model.fit(disp="off").forecast(horizon=5, reindex=False).variance.to_numpy()[0]
    assert np.exp(ours.log_variance(rows.x)[-1]) == pytest.approx(theirs.sum() / 1e4, rel=1e-6)


def test_a_filter_forgets_where_it_started():
    rows = returns_design()
    fitted = Garch(("ret",)).fit(rows, seed=0)
    whole, late = fitted.log_variance(rows.x), fitted.log_variance(rows.x[500:])
    np.testing.assert_allclose(late[-300:], whole[-300:], atol=1e-4)


def test_garch_needs_returns_enough():
    with pytest.raises(NotEnoughHistory, match="500"):
        Garch(("ret",)).fit(returns_design().rows(slice(0, 400)), seed=0)


def level_design(seed: int = 0) -> Design:
    rng = np.random.default_rng(seed)
    log_v = np.cumsum(rng.normal(scale=0.05, size=N)) * 0.3 - 9
    x = np.column_stack([log_v + rng.normal(scale=s, size=N) for s in (0.5, 0.2, 0.1)])
    levels = np.exp(x)
    y = (1e-5 + levels @ [0.5, 1.5, 2.5]) * rng.chisquare(50, size=N) / 50
    days = np.busday_offset("2001-01-02", np.arange(N + 5), roll="forward")
    return Design(("tv1", "tv5", "tv22"), x, y, days[:N], days[5:])


def test_level_har_finds_the_coefficients_and_is_never_negative():
    rows = level_design()
    fitted = LevelHar(rows.columns).fit(rows, seed=0)
    np.testing.assert_allclose(fitted.beta, [0.5, 1.5, 2.5], atol=0.25)
    assert fitted.base >= 0
    assert (fitted.beta >= 0).all()
    far = np.array([[-20.0, -20.0, -20.0], [-2.0, -2.0, -2.0]])
    assert np.isfinite(fitted.log_variance(far)).all()


def test_level_har_without_a_whole_row_is_refused():
    rows = level_design()
    rows.x[:, 1] = np.nan
    with pytest.raises(FitFailed, match="tv5"):
        LevelHar(rows.columns).fit(rows, seed=0)


def test_lags_are_whole_weeks_and_unknown_before_the_first_row():
    x = np.column_stack([np.arange(20.0), np.ones(20)])
    lagged = with_lags(x, 3)
    assert lagged.shape == (20, 4)
    assert lagged[12].tolist() == [12.0, 1.0, 7.0, 2.0]
    assert np.isnan(lagged[4, 2:]).all()


def test_arx_is_the_regression_on_lagged_columns_and_reads_only_the_past():
    rows = level_design()
    fitted = Arx(rows.columns, lags=3).fit(rows, seed=0)
    by_hand = Design(
        (*rows.columns, "a", "b"), with_lags(rows.x, 3), rows.y, rows.dates, rows.known
    )
    reference = LogOls(by_hand.columns).fit(by_hand, seed=0)
    np.testing.assert_allclose(fitted.log_variance(rows.x), reference.log_variance(by_hand.x))
    assert fitted.log_variance(rows.x[:500])[-1] == fitted.log_variance(rows.x)[499]


def test_the_range_target_is_on_the_level_of_the_label():
    rows = level_design()
    ranged = Design(rows.columns, rows.x, rows.y, rows.dates, rows.known, rows.y * 0.7)
    np.testing.assert_allclose(training_target(ranged, 0.5), rows.y, rtol=1e-9)
    assert training_target(rows, 0.5) is rows.y
    ranged.ranges[:100] = np.nan
    np.testing.assert_array_equal(training_target(ranged, 0.5)[:100], rows.y[:100])
