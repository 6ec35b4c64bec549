"""Contributions by table against the libraries' own, over forests and rows that strain them."""

from dataclasses import replace
from datetime import date

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from riskcast.core.errors import ArtifactRefused
from riskcast.models import lightgbm_text
from riskcast.models.base import Design
from riskcast.models.lightgbm_hybrid import Boosted
from riskcast.models.shap_tables import Splits, _last_rounded_to
from riskcast.models.xgboost_hybrid import XgboostHybrid, XgboostTrees
from riskcast.models.xgboost_json import splits as xgboost_json_splits

COLUMNS = ("a", "b", "c", "d")


def forest(seed: int, *, depth: int = 3, leaves: int = 7, rounds: int = 20, **more) -> str:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, len(COLUMNS)))
    x[:, 1] = np.round(x[:, 1])  # few distinct values, zero among them: thresholds next to zero
    y = np.exp(x[:, 0] * (x[:, 1] > 0) + 0.3 * x[:, 2] + rng.normal(size=400))
    params = {
        "objective": "gamma",
        "num_leaves": leaves,
        "max_depth": depth,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "verbosity": -1,
        **more,
    }
    data = lgb.Dataset(x, y, feature_name=list(COLUMNS))
    return lightgbm_text.trim(lgb.train(params, data, rounds).model_to_string())


def native(booster: lgb.Booster, x: np.ndarray) -> np.ndarray:
    return np.asarray(booster.predict(x, pred_contrib=True, num_threads=1)).reshape(len(x), -1)


@given(seed=st.integers(0, 50), depth=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_tables_give_what_lightgbm_gives(seed, depth):
    model = Boosted(COLUMNS, date(2020, 1, 1), forest(seed, depth=depth))
    assert model.tables is not None
    rng = np.random.default_rng(seed + 1)
    cuts = model.tables.thresholds[np.isfinite(model.tables.thresholds)]
    x = np.concatenate(
        [
            rng.normal(size=(200, len(COLUMNS))),
            rng.choice([*cuts, 0.0, -0.0, 1e-36, -1e-36, 1e300], size=(200, len(COLUMNS))),
        ]
    )
    found = model.contributions(x, np.full(len(x), -9.0))
    wanted = native(model.booster, x)
    wanted[:, -1] -= 9.0
    assert np.abs(found - wanted).max() < 1e-12
    assert np.abs(found.sum(axis=1) - model.log_variance(x, np.full(len(x), -9.0))).max() < 1e-9


def test_a_row_gets_the_same_contributions_alone_as_among_others():
    model = Boosted(COLUMNS, date(2020, 1, 1), forest(3))
    x = np.random.default_rng(5).normal(size=(600, len(COLUMNS)))
    together = model.contributions(x, np.zeros(600))
    alone = [model.contributions(x[i : i + 1], np.zeros(1))[0] for i in range(600)]
    assert (together == np.array(alone)).all()


def test_an_unknown_value_is_left_to_lightgbm():
    model = Boosted(COLUMNS, date(2020, 1, 1), forest(4))
    x = np.array([[np.nan, 1.0, 0.5, 0.0]])
    assert (model.contributions(x, np.zeros(1)) == native(model.booster, x)).all()


@pytest.mark.parametrize(
    "more", [{"depth": -1, "leaves": 31}, {"zero_as_missing": True, "min_data_in_bin": 1}]
)
def test_forests_that_no_table_fits_are_left_to_lightgbm(more):
    model = Boosted(COLUMNS, date(2020, 1, 1), forest(6, **more))
    assert model.tables is None
    x = np.random.default_rng(7).normal(size=(20, len(COLUMNS)))
    assert (model.contributions(x, np.zeros(20)) == native(model.booster, x)).all()


def test_tables_that_differ_from_lightgbm_are_refused(monkeypatch):
    text = forest(8)
    monkeypatch.setattr(lightgbm_text, "_effective", lambda threshold: threshold + 0.3)
    with pytest.raises(ArtifactRefused, match="differ from the library's own"):
        Boosted(COLUMNS, date(2020, 1, 1), text).tables  # noqa: B018


def xgboost_trees(seed: int, depth: int) -> XgboostTrees:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, len(COLUMNS)))
    x[:, 1] = np.round(x[:, 1])
    y = np.exp(x[:, 0] * (x[:, 1] > 0) + 0.3 * x[:, 2] + 0.1 * rng.normal(size=400))
    hybrid = XgboostHybrid(COLUMNS, 20, 0.3, depth, 5.0, 0.8, 0.8)
    days = np.datetime64("2010-01-04") + np.arange(400)
    design = Design(COLUMNS, x, y, days, days + 5)
    return hybrid.fit(design, seed=seed, offset=np.zeros(400))


@given(seed=st.integers(0, 50), depth=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_tables_give_what_xgboost_gives(seed, depth):
    model = xgboost_trees(seed, depth)
    assert model.tables is not None
    rng = np.random.default_rng(seed + 1)
    cuts = model.tables.thresholds[np.isfinite(model.tables.thresholds)]
    above = np.nextafter(cuts, np.inf)  # rounded to the next single as it is read
    singles = cuts.astype(np.float32).astype(float)
    x = np.concatenate(
        [
            rng.normal(size=(200, len(COLUMNS))),
            rng.choice([*cuts, *above, *singles, 0.0, -0.0, 1e30], size=(200, len(COLUMNS))),
        ]
    )
    found = model.contributions(x, np.full(len(x), -9.0))
    wanted = np.asarray(
        model.booster.predict(xgb.DMatrix(x, feature_names=list(COLUMNS)), pred_contribs=True),
        dtype=float,
    )
    wanted[:, -1] -= 9.0
    assert np.abs(found - wanted).max() < 2e-6
    assert np.abs(found.sum(axis=1) - model.log_variance(x, np.full(len(x), -9.0))).max() < 1e-6


@given(st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100))
def test_comparing_without_rounding_answers_as_single_precision_does(threshold):
    last = _last_rounded_to(np.array([threshold]))[0]
    assert np.float32(last) <= np.float32(threshold)
    assert np.float32(np.nextafter(last, np.inf)) > np.float32(threshold)


def test_xgboost_tables_with_the_wrong_comparison_are_refused(monkeypatch):
    model = xgboost_trees(8, 3)
    monkeypatch.setattr(
        "riskcast.models.xgboost_json.splits",
        lambda text: tuple(
            Splits(tree.features, tuple(t + 0.3 for t in tree.thresholds))
            for tree in xgboost_json_splits(text)
        ),
    )
    with pytest.raises(ArtifactRefused, match="differ from the library's own"):
        replace(model).tables  # noqa: B018
