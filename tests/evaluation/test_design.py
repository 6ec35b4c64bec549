from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from synthetic_market import LINEAR, SMALL, built, market

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.design import (
    build_design,
    effective,
    first_fit,
    needed_columns,
    usable_columns,
)
from riskcast.models.base import FLOOR
from riskcast.products import DAILY_RISK


def test_a_row_holds_its_features_its_squared_label_and_when_it_was_known():
    features, labels = market(300)
    design = build_design(features, labels, ("tv5", "hv20"))
    row = 100
    assert design.x[row, 0] == features["tv5"][row]
    assert design.y[row] == pytest.approx(labels["rv_5d"][row] ** 2)
    assert design.known[row] == design.dates[row + 5]
    assert np.isnat(design.known[-5:]).all()
    assert np.isnan(design.y[-5:]).all()


def test_what_was_known_at_a_session_is_what_had_matured_by_its_close():
    _, design, _, _ = built(LINEAR, n=500)
    seen = design.known_by(design.dates[120])
    assert len(seen.dates) == 116
    assert seen.known.max() == design.dates[120]


def test_a_label_that_was_published_late_counts_from_then():
    features, labels = market(300)
    late = labels.with_columns(known_at=pl.col("known_at") + timedelta(minutes=1))
    on_time = build_design(features, labels, ("tv5",))
    design = build_design(features, late, ("tv5",))
    assert design.known[50] == on_time.known[51]


def test_a_tiny_label_is_floored_and_a_missing_one_unknown():
    features, labels = market(300)
    seventh = pl.int_range(pl.len()) == 7
    labels = labels.with_columns(rv_5d=pl.when(seventh).then(0.0).otherwise("rv_5d"))
    design = build_design(features, labels.filter(pl.int_range(pl.len()) != 9), ("tv5",))
    assert design.y[7] == FLOOR
    assert np.isnan(design.y[9])
    assert np.isnat(design.known[9])


def test_order_of_rows_does_not_matter():
    features, labels = market(300)
    mixed = labels.sample(fraction=1, shuffle=True, seed=1)
    shuffled = build_design(features.reverse(), mixed, ("tv5",))
    straight = build_design(features, labels, ("tv5",))
    np.testing.assert_array_equal(shuffled.x, straight.x)
    np.testing.assert_array_equal(shuffled.known, straight.known)


def test_a_value_that_rests_on_simulated_data_is_not_given_to_a_model():
    features, labels = market(300)
    features = features.with_columns(
        slope_10y_2y=pl.lit(1.0),
        simulated=pl.when(pl.int_range(pl.len()) < 150)
        .then(pl.lit(["VIX", "MACRO"]))
        .otherwise("simulated"),
    )
    design = build_design(features, labels, ("lvix", "slope_10y_2y", "tv5"))
    assert np.isnan(design.x[:150, :2]).all()
    assert np.isfinite(design.x[150:, :2]).all()
    assert np.isfinite(design.x[30:, 2]).all()


def test_where_every_column_is_real_the_product_stands():
    product, design, _, _ = built(SMALL)
    assert [c.name for c in product.candidates] == [c.name for c in SMALL.candidates]
    assert product.benchmark == "log_har_vix"
    assert product.candidate("lightgbm_hybrid").offset == "log_har_vix"
    assert effective(product, design).recipe == product.recipe


def _vix_real_from(row: int):
    features, labels = market()
    features = features.with_columns(
        simulated=pl.when(pl.int_range(pl.len()) < row).then(pl.lit(["VIX"])).otherwise("simulated")
    )
    return build_design(features, labels, needed_columns(SMALL))


def test_where_vix_was_not_real_at_the_first_fit_the_fallback_benchmark_steps_in():
    product = effective(SMALL, _vix_real_from(600))
    assert product.benchmark == "log_har"
    assert "log_har_vix" not in [c.name for c in product.candidates]
    assert "lvix" not in {name for c in product.candidates for name in c.columns}
    assert product.candidate("lightgbm_hybrid").offset == "log_har"
    assert product.pool == SMALL.pool
    assert product.recipe != SMALL.recipe


def test_what_becomes_of_a_column_after_the_first_fit_decides_nothing():
    design = _vix_real_from(0)
    later = design.x.copy()
    later[first_fit(SMALL, design) + 1 :] = np.nan
    blind = type(design)(design.columns, later, design.y, design.dates, design.known)
    assert usable_columns(SMALL, blind) == usable_columns(SMALL, design)


def test_the_warm_up_of_a_window_does_not_cost_a_column():
    design = _vix_real_from(0)
    assert np.isnan(design.x[:21, design.columns.index("tv22")]).all()
    assert "tv22" in usable_columns(SMALL, design)


def test_the_first_fit_waits_for_min_train_labels():
    _, design, _, _ = built(SMALL)
    row = first_fit(SMALL, design)
    assert len(design.known_by(design.dates[row]).dates) == SMALL.scheme.min_train
    assert len(design.known_by(design.dates[row - 1]).dates) == SMALL.scheme.min_train - 1


def test_a_short_history_is_refused():
    features, labels = market(300)
    design = build_design(features, labels, needed_columns(SMALL))
    with pytest.raises(NotEnoughHistory, match="400"):
        effective(SMALL, design)


def test_the_daily_product_names_every_column_it_needs_once():
    names = needed_columns(DAILY_RISK)
    assert len(set(names)) == len(names)
    assert {"tv1", "lvix", "hv20", "mean_var", "rv5_q33"} <= set(names)
