"""The gate's truth table, on records whose skill is known by construction."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from known_skill import N, market_record
from synthetic_market import LINEAR, SMALL, as_of, built

from riskcast.evaluation.final import fit_served
from riskcast.evaluation.gate import check_refit, decide
from riskcast.evaluation.walk_forward import walk_forward
from riskcast.models.calibration import Calibration
from riskcast.products import DAILY_RISK, Product, WalkForward


def pool_scaled(record: pl.DataFrame, factor: float) -> pl.DataFrame:
    pool = pl.col("model") == DAILY_RISK.pool_name
    scaled = pl.when(pool).then(pl.col("variance_hat") * factor).otherwise("variance_hat")
    return record.with_columns(variance_hat=scaled)


def test_a_first_recipe_with_skill_is_promoted():
    verdict = decide(*market_record(), DAILY_RISK)
    assert verdict.promoted, verdict.reason
    assert verdict.figures["gain_hv20"] > 0.2
    assert verdict.figures["dm_p_mean_var"] < 0.05


@pytest.mark.parametrize("naive", ["mean_var", "hv20", "ewma"])
def test_a_first_recipe_must_beat_every_naive_forecast(naive):
    verdict = decide(*market_record(**{naive: 0.1}), DAILY_RISK)
    assert verdict.verdict == "refuse"
    assert naive in verdict.reason


def test_a_recipe_significantly_worse_than_the_benchmark_is_refused():
    verdict = decide(*market_record(pool_equal=0.5, log_har_vix=0.05), DAILY_RISK)
    assert verdict.verdict == "refuse"
    assert "worse than log_har_vix" in verdict.reason


def test_a_recipe_as_good_as_the_benchmark_may_be_the_first_champion():
    assert decide(*market_record(pool_equal=0.25), DAILY_RISK).promoted


def test_too_short_a_record_decides_nothing():
    verdict = decide(*market_record(300), DAILY_RISK)
    assert verdict.verdict == "refuse"
    assert "500" in verdict.reason


def test_intervals_that_do_not_cover_are_refused():
    record, features = market_record()
    # Forecasts drift faster than the ends of intervals are moved.
    wave = np.exp(0.015 * np.arange(N))
    pool = record.filter(pl.col("model") == "pool_equal")
    pool = pool.with_columns(variance_hat=pool["variance_hat"] * pl.Series(wave))
    rest = record.filter(pl.col("model") != "pool_equal")
    verdict = decide(pl.concat([rest, pool]), features, lenient(DAILY_RISK))
    assert verdict.verdict == "refuse"
    assert "intervals cover" in verdict.reason


def lenient(product: Product) -> Product:
    """The product with tests that never reject: leaves the bounds alone."""
    return replace(product, naive={}, gate=replace(product.gate, alpha=0.0))


def test_the_same_recipe_again_does_not_beat_itself():
    record, features = market_record()
    verdict = decide(record, features, DAILY_RISK, champion=record)
    assert verdict.verdict == "refuse"
    assert "champion" in verdict.reason


def test_a_better_recipe_replaces_the_champion():
    record, features = market_record(pool_equal=0.1)
    champion, _ = market_record(pool_equal=0.45)
    verdict = decide(record, features, DAILY_RISK, champion=champion)
    assert verdict.promoted, verdict.reason
    assert verdict.figures["gain_champion"] > 0
    assert not decide(champion, features, DAILY_RISK, champion=record).promoted


def test_a_significant_gain_below_the_least_is_refused_and_above_it_promoted():
    record, features = market_record(pool_equal=0.1)
    champion = pool_scaled(record, 1.4)
    product = replace(DAILY_RISK, gate=replace(DAILY_RISK.gate, margin=10.0))
    verdict = decide(record, features, product, champion=champion)
    assert verdict.figures["dm_p_champion"] < 0.05
    assert verdict.promoted
    gain = verdict.figures["gain_champion"]
    strict = replace(product, gate=replace(product.gate, min_gain=gain * 1.01))
    assert not decide(record, features, strict, champion=champion).promoted


def test_a_gain_by_the_margin_needs_no_significance():
    record, features = market_record(pool_equal=0.1)
    champion, _ = market_record(pool_equal=0.45)
    product = replace(DAILY_RISK, gate=replace(DAILY_RISK.gate, alpha=0.0))
    assert decide(record, features, product, champion=champion).promoted
    greedy = replace(product, gate=replace(product.gate, margin=0.99))
    assert not decide(record, features, greedy, champion=champion).promoted


def test_a_recipe_with_worse_regime_probabilities_is_refused():
    record, features = market_record(pool_equal=0.45)
    champion, _ = market_record(pool_equal=0.1)
    eager = replace(DAILY_RISK.gate, margin=0.0, alpha=1.0, min_gain=-1.0)
    verdict = decide(record, features, replace(lenient(DAILY_RISK), gate=eager), champion=champion)
    assert verdict.verdict == "refuse"
    assert verdict.figures["brier"] > verdict.figures["brier_champion"]


def test_the_champion_is_compared_on_common_sessions_only():
    record, features = market_record()
    champion, _ = market_record(pool_equal=0.45)
    half = champion.filter(pl.col("date").dt.year() >= 2013)
    verdict = decide(record, features, DAILY_RISK, champion=half)
    assert verdict.figures["rows"] == half.filter(pl.col("model") == "hv20").height


@pytest.mark.parametrize("seed", range(6))
def test_a_random_walk_of_constant_volatility_is_never_promoted(seed):
    small = replace(SMALL, scheme=WalkForward(min_train=400, refit_every=126))
    product, design, features, _ = built(small, n=1300, seed=seed, vol_of_vol=0.0)
    verdict = decide(walk_forward(product, design).record, features, product)
    gain, p = verdict.figures["gain_mean_var"], verdict.figures["dm_p_mean_var"]
    assert gain <= 0 or p >= product.gate.alpha
    assert verdict.verdict == "refuse"


def test_stochastic_volatility_is_promoted_by_the_same_walk():
    product, design, features, _ = built(LINEAR, n=2500, seed=4, persistence=0.92, vol_of_vol=0.5)
    verdict = decide(walk_forward(product, design).record, features, product)
    assert verdict.figures["gain_mean_var"] > 0.1
    assert verdict.promoted, verdict.reason


def fitted_twice():
    product, design, _, _ = built(SMALL)
    record = walk_forward(product, design).record
    early = as_of(design, len(design.dates) - 22)
    old = fit_served(product, early, record)
    new = fit_served(product, design, record)
    x, thresholds = design.take(new.columns).x[-60:], design.take(new.thresholds).x[-60:]
    return new, old, x, thresholds


NEW, OLD, X, THRESHOLDS = fitted_twice()


def shifted(model, by: float):
    first = model.members[1]
    moved = replace(first.fitted, base=first.fitted.base + by / first.weight)
    members = (model.members[0], replace(first, fitted=moved), *model.members[2:])
    return replace(model, members=members)


def test_a_refit_on_a_month_more_is_sane():
    verdict = check_refit(NEW, OLD, X, THRESHOLDS)
    assert verdict.promoted, verdict.reason
    assert verdict.figures["additivity_gap"] < 1e-6


@pytest.mark.parametrize(("by", "reason"), [(0.4, "median"), (-0.4, "median"), (np.nan, "finite")])
def test_a_refit_that_jumps_is_refused(by, reason):
    verdict = check_refit(shifted(NEW, by), OLD, X, THRESHOLDS)
    assert verdict.verdict == "refuse"
    assert reason in verdict.reason


def test_a_refit_with_one_wild_session_is_refused():
    ridge = next(m for m in NEW.members if m.name == "ridge_duan")
    wild = replace(ridge, fitted=replace(ridge.fitted, beta=ridge.fitted.beta * 12))
    model = replace(NEW, members=tuple(wild if m is ridge else m for m in NEW.members))
    x = X.copy()
    x[7, NEW.columns.index("r1neg")] = 50
    verdict = check_refit(model, OLD, x, THRESHOLDS)
    assert verdict.verdict == "refuse"


def test_another_recipe_or_an_older_fit_is_no_refit():
    assert "recipe" in check_refit(replace(NEW, recipe="other"), OLD, X, THRESHOLDS).reason
    assert "fit_end" in check_refit(OLD, NEW, X, THRESHOLDS).reason


def test_a_refit_may_bring_its_own_calibration():
    wider = replace(NEW, calibration=Calibration(NEW.calibration.ratios * 1.01))
    assert check_refit(wider, OLD, X, THRESHOLDS).promoted
