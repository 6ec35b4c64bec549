from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.regimes import (
    auc,
    brier,
    calibration_error,
    classes,
    known_definitions,
    log_loss,
    persistence,
    reliability,
    summary,
    transition_matrix,
)
from riskcast.products import DAILY_RISK


def test_an_outcome_is_calm_below_and_risk_off_above_its_bounds():
    bounds = np.tile([0.01, 0.02], (5, 1))
    found = classes(np.array([0.005, 0.01, 0.015, 0.02, 0.025]), bounds)
    assert found.tolist() == [0, 1, 1, 1, 2]


def test_golden_scores():
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    outcome = np.array([0, 1])
    assert brier(probs, outcome) == pytest.approx(((0.09 + 0.04 + 0.01) + (0.01 + 0.49 + 0.36)) / 2)
    assert log_loss(probs, outcome) == pytest.approx(-(np.log(0.7) + np.log(0.3)) / 2)


def test_certainty_is_best_when_right_and_worst_when_wrong():
    sure = np.eye(3)
    assert brier(sure, np.array([0, 1, 2])) == 0.0
    assert brier(sure, np.array([1, 2, 0])) == 2.0
    assert log_loss(sure, np.array([1, 2, 0])) == np.inf


def published(rv, p=(0.3, 0.4, 0.3)):
    n = len(rv)
    dates = np.busday_offset("2010-01-04", np.arange(n + 5))
    return pl.DataFrame(
        {
            "date": dates[:n],
            "known": dates[5:],
            "rv": rv,
            "low": [0.01] * n,
            "high": [0.02] * n,
            "p_calm": [p[0]] * n,
            "p_transition": [p[1]] * n,
            "p_risk_off": [p[2]] * n,
        }
    )


def test_persistence_repeats_the_newest_outcome_known_at_the_session():
    rows = published([0.005, 0.015, 0.025, 0.005, 0.005, 0.005, 0.005, 0.005])
    said = persistence(rows)
    assert np.isnan(said[:5]).all()
    assert said[5:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_summary_scores_forecast_and_persistence_on_the_same_rows():
    rows = published([0.005] * 40)
    found = summary(rows)
    assert found["rows"] == 35
    assert found["brier_persistence"] == 0.0
    assert found["brier"] == pytest.approx(0.49 + 0.16 + 0.09)


def test_rows_without_thresholds_are_left_out_and_none_left_is_an_error():
    rows = published([0.005] * 40).with_columns(low=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(NotEnoughHistory):
        summary(rows)


def drawn(n: int = 6000, seed: int = 0):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([2, 2, 2], size=n)
    return probs, (rng.random((n, 1)) > probs.cumsum(axis=1)).sum(axis=1)


def test_auc_is_that_of_scikit_learn():
    probs, outcome = drawn(500)
    assert auc(probs, outcome) == pytest.approx(
        roc_auc_score(outcome, probs, multi_class="ovr", average="macro")
    )
    assert np.isnan(auc(probs, np.zeros(500, dtype=int)))


def test_honest_probabilities_have_a_small_calibration_error_and_bold_ones_a_large():
    probs, outcome = drawn()
    bold = probs**2 / (probs**2).sum(axis=1, keepdims=True)
    assert calibration_error(probs, outcome) < 0.02
    assert calibration_error(bold, outcome) > 0.05


def test_golden_calibration_error_and_reliability():
    probs = np.array([[0.85, 0.05, 0.1], [0.85, 0.15, 0.0]])
    table = reliability(probs, np.array([0, 1]))
    calm = table.filter(pl.col("class") == 0).row(0, named=True)
    assert (calm["said"], calm["came"], calm["rows"]) == (pytest.approx(0.85), 0.5, 2)
    # calm 2 x 0.35; transition 0.05 and 0.85; risk_off 0.1 and 0
    assert calibration_error(probs, np.array([0, 1])) == pytest.approx((0.7 + 0.9 + 0.1) / 6)


def test_the_transition_matrix_counts_only_outcomes_known_by_then():
    rows = published([0.005, 0.015] * 40)
    said = transition_matrix(rows)
    assert np.isnan(said[:5]).all()
    np.testing.assert_allclose(said[5], 1 / 3)  # nothing counted yet
    np.testing.assert_allclose(said[5:].sum(axis=1), 1.0)
    # Five sessions later the other class comes: after calm a transition, and so on.
    assert said[-1, int(np.nanargmax(persistence(rows)[-1]))] < 0.1
    wild = rows.with_columns(rv=pl.when(pl.int_range(pl.len()) > 60).then(0.025).otherwise("rv"))
    np.testing.assert_array_equal(transition_matrix(wild)[:66], said[:66])


def test_definitions_without_a_known_bound_are_left_out():
    product = replace(
        DAILY_RISK, definitions={"terciles": ("rv5_q33", "rv5_q67"), "clusters": ("rv5_calm",) * 2}
    )
    features = pl.DataFrame(
        {"rv5_q33": [None, 0.1], "rv5_q67": [0.2, None], "rv5_calm": [None] * 2}
    )
    assert known_definitions(product, features) == ["terciles"]
