"""Every model is blind to the future, and each planted leak is caught by the check meant for it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest
from synthetic_market import SMALL, built

from riskcast.core.errors import LookAhead
from riskcast.evaluation import intervals, regime_probs, rivals
from riskcast.evaluation.leakage import check_forecast_is_blind_to_the_future, perturb_after
from riskcast.evaluation.walk_forward import (
    Path,
    candidate_path,
    fit_candidate,
    schedule,
    walk_forward,
)
from riskcast.models import ENGINES
from riskcast.models.base import Design
from riskcast.products import Candidate, WalkForward

PRODUCT, DESIGN, FEATURES, LABELS = built(SMALL)
HORIZON = PRODUCT.horizon
FOLDS = schedule(PRODUCT, DESIGN)
# A session at which everything is refitted, the one before, and one between two refits.
CUTS = [FOLDS[3].start, FOLDS[6].start - 1, FOLDS[8].start + 7]
check = check_forecast_is_blind_to_the_future


def along_time(design: Design, record: pl.DataFrame, model: str) -> np.ndarray:
    rows = record.filter(pl.col("model") == model)
    out = np.full(len(design.dates), np.nan)
    out[np.searchsorted(design.dates, rows["date"].to_numpy())] = rows["variance_hat"].to_numpy()
    return out


def forecaster(model: str):
    return lambda design: along_time(design, walk_forward(PRODUCT, design).record, model)


def path_of(name: str, design: Design) -> np.ndarray:
    candidate = PRODUCT.candidate(name)
    with ThreadPoolExecutor(1) as workers:
        path, _ = candidate_path(candidate, design, FOLDS, offset=None, workers=workers)
    return path.log_h


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("model", [*(c.name for c in SMALL.candidates), "pool_equal", "hv20"])
def test_a_forecast_does_not_move_when_the_future_does(model, cut):
    check(forecaster(model), DESIGN, cut, horizon=HORIZON)


def test_the_future_that_is_changed_begins_right_after_the_session():
    cut = CUTS[0]
    other = perturb_after(DESIGN, cut, horizon=HORIZON, seed=1)
    same_x = (other.x == DESIGN.x) | np.isnan(DESIGN.x)
    assert same_x[: cut + 1].all()
    assert not same_x[cut + 1 :].all(axis=1).any()
    assert (other.y[: cut + 1 - HORIZON] == DESIGN.y[: cut + 1 - HORIZON]).all()
    assert (other.y[cut + 1 - HORIZON : -HORIZON] != DESIGN.y[cut + 1 - HORIZON : -HORIZON]).all()


def test_planted_training_up_to_t_without_purge_is_caught_when_data_changes():
    def unpurged(design: Design) -> np.ndarray:
        return path_of("log_har_vix", replace(design, known=design.dates))

    check(lambda design: path_of("log_har_vix", design), DESIGN, CUTS[0], horizon=HORIZON)
    with pytest.raises(LookAhead, match="moved"):
        check(unpurged, DESIGN, CUTS[0], horizon=HORIZON)


def test_planted_labels_known_too_early_are_caught_before_anything_is_fitted():
    unpurged = replace(DESIGN, known=np.where(np.isnat(DESIGN.known), DESIGN.known, DESIGN.dates))
    with pytest.raises(LookAhead, match="labels claim"):
        walk_forward(PRODUCT, unpurged)


def test_planted_one_session_too_few_is_caught():
    known = np.roll(DESIGN.known, 1)
    known[0] = np.datetime64("NaT")
    with pytest.raises(LookAhead, match="labels claim"):
        walk_forward(PRODUCT, replace(DESIGN, known=known))


@pytest.mark.parametrize("model", ["log_har_vix", "gamma_glm", "lightgbm_hybrid"])
def test_planted_scaling_on_the_full_sample_is_caught(model):
    def scaled(design: Design) -> np.ndarray:
        x = (design.x - np.nanmean(design.x, axis=0)) / np.nanstd(design.x, axis=0)
        naive = [design.columns.index(c) for c in (*PRODUCT.naive.values(), *PRODUCT.thresholds)]
        x[:, naive] = design.x[:, naive]
        return forecaster(model)(replace(design, x=x))

    with pytest.raises(LookAhead, match="moved"):
        check(scaled, DESIGN, CUTS[0], horizon=HORIZON)


@pytest.mark.parametrize("cut", CUTS)
def test_planted_features_from_the_next_session_are_caught(cut):
    def shifted(design: Design) -> np.ndarray:
        return forecaster("gamma_glm")(replace(design, x=np.roll(design.x, -1, axis=0)))

    with pytest.raises(LookAhead, match="moved"):
        check(shifted, DESIGN, cut, horizon=HORIZON)


def test_planted_ranges_known_a_week_too_early_are_caught():
    # What a session's ranges were is shifted to five sessions before: the next week is seen.
    def early(design: Design) -> np.ndarray:
        moved = replace(design, ranges=np.roll(design.ranges, -HORIZON))
        return forecaster("gamma_glm")(moved)

    with pytest.raises(LookAhead, match="moved"):
        check(early, DESIGN, CUTS[0], horizon=HORIZON)


CHALLENGERS = (
    Candidate("har", "level_har", ("tv1", "tv5", "tv22")),
    Candidate("garch", "garch", ("spy_ret_1d",), lookback=300),
    Candidate("arimax", "arx", ("tv5", "lvix"), MappingProxyType({"lags": 3}), lookback=15),
    Candidate(
        "xgboost",
        "xgboost_hybrid",
        ("tv1", "tv5", "lvix"),
        MappingProxyType(
            {
                "rounds": 5,
                "learning_rate": 0.1,
                "max_depth": 2,
                "min_child_weight": 40.0,
                "subsample": 0.6,
                "colsample": 0.7,
            }
        ),
        offset="gamma_glm",
    ),
)
RIVALS, WITH_RETURNS, _, _ = built(
    replace(
        SMALL,
        candidates=(*SMALL.candidates, *CHALLENGERS),
        scheme=WalkForward(min_train=520, refit_every=84),
    )
)


@pytest.mark.parametrize("model", [*(c.name for c in CHALLENGERS), "pool_qlike"])
def test_a_challenger_does_not_move_when_the_future_does(model):
    def forecast(design: Design) -> np.ndarray:
        return along_time(design, walk_forward(RIVALS, design).record, model)

    check(forecast, WITH_RETURNS, CUTS[2], horizon=HORIZON)


def test_planted_lookback_that_reaches_forward_is_caught():
    candidate = replace(CHALLENGERS[2], lookback=0)

    def ahead(design: Design) -> np.ndarray:
        own = design.take(candidate.columns)
        fitted = fit_candidate(candidate, own, DESIGN.dates[CUTS[0]])
        return np.roll(fitted.log_variance(own.x), -1)

    with pytest.raises(LookAhead, match="moved"):
        check(ahead, DESIGN, CUTS[0], horizon=HORIZON)


def test_planted_one_fit_on_the_full_sample_is_caught():
    def full(design: Design) -> np.ndarray:
        own = design.take(PRODUCT.candidate("ridge_duan").columns)
        last = own.known[~np.isnat(own.known)].max()
        return fit_candidate(PRODUCT.candidate("ridge_duan"), own, last).log_variance(own.x)

    with pytest.raises(LookAhead, match="moved"):
        check(full, DESIGN, CUTS[0], horizon=HORIZON)


def test_planted_in_sample_offset_is_caught():
    # It moves no forecast when later data change, so only its fit_end gives it away.
    session = DESIGN.dates[CUTS[0]]
    linear, hybrid = PRODUCT.candidate("log_har_vix"), PRODUCT.candidate("lightgbm_hybrid")
    own = DESIGN.take(linear.columns)
    fitted = fit_candidate(linear, own, session)
    in_sample = Path(fitted.log_variance(own.x), np.full(len(own.dates), session))
    with pytest.raises(LookAhead, match="walk-forward"):
        fit_candidate(hybrid, DESIGN.take(hybrid.columns), session, offset=in_sample)


def test_planted_fit_that_saw_a_later_session_is_caught(monkeypatch):
    monkeypatch.setitem(ENGINES, "log_ols", "leaky_engines:Overreaching")
    with pytest.raises(LookAhead, match="saw labels known at"):
        walk_forward(PRODUCT, DESIGN)


RECORD = walk_forward(PRODUCT, DESIGN).record


AS_KNOWN, TOO_EARLY = pl.col("known"), pl.col("date").dt.offset_by("1d")


def published(record: pl.DataFrame, product=PRODUCT, *, known: pl.Expr = AS_KNOWN) -> pl.DataFrame:
    return intervals.calibrated(record.with_columns(known=known), FEATURES, product)


def changed_after(session: np.datetime64) -> pl.DataFrame:
    late = pl.col("known") > session.item()
    wild = pl.col("variance") * (1 + 50 * (pl.int_range(pl.len()) % 2))
    return RECORD.with_columns(variance=pl.when(late).then(wild).otherwise("variance"))


LATE = DESIGN.dates[-30]
IMPLIED_ONLY = replace(PRODUCT, regime_columns=())


@pytest.mark.parametrize("known", [AS_KNOWN, TOO_EARLY], ids=["honest", "planted"])
@pytest.mark.parametrize("session", [DESIGN.dates[CUTS[2]], LATE])
def test_intervals_and_implied_probabilities_rest_on_outcomes_known_at_the_session(session, known):
    # With `known` replaced by the day after the forecast, the leak is planted and must show.
    upto = pl.col("date") <= session.item()
    now = published(RECORD, IMPLIED_ONLY, known=known).filter(upto)
    then = published(changed_after(session), IMPLIED_ONLY, known=known).filter(upto)
    same = now.drop("rv", "known", "crps").equals(then.drop("rv", "known", "crps"))
    assert same is (known is AS_KNOWN)


def test_blended_probabilities_rest_on_outcomes_known_at_the_session():
    upto = pl.col("date") <= LATE.item()
    now, then = (published(r).filter(upto) for r in (RECORD, changed_after(LATE)))
    assert not now.equals(published(RECORD, IMPLIED_ONLY).filter(upto))  # logits were at work
    assert now.drop("rv", "known", "crps").equals(then.drop("rv", "known", "crps"))


@pytest.mark.parametrize("product", [PRODUCT, IMPLIED_ONLY], ids=["logits", "implied"])
def test_planted_outcomes_known_with_their_forecast_are_caught(product):
    with pytest.raises(LookAhead, match="when its forecast was made"):
        published(RECORD, product, known=pl.col("date"))


def test_planted_logits_of_the_full_record_are_caught(monkeypatch):
    # Everything else as it should be: only the session of each refit is replaced by the last.
    honest = regime_probs.fit_at
    monkeypatch.setattr(
        regime_probs, "fit_at", lambda past, _session, plain: honest(past, past.known.max(), plain)
    )
    upto = pl.col("date") <= LATE.item()
    now, then = (published(r).filter(upto) for r in (RECORD, changed_after(LATE)))
    assert not now.drop("rv", "known", "crps").equals(then.drop("rv", "known", "crps"))


@pytest.mark.parametrize("rival", [rivals.conformal_quantiles, rivals.multiclass])
def test_rivals_rest_on_outcomes_known_at_the_session(rival):
    upto = DESIGN.dates[DESIGN.dates <= LATE]
    made = []
    for record in (RECORD, changed_after(LATE)):
        past, _ = intervals.past_of(record, FEATURES, PRODUCT)
        made.append(rival(past)[past.dates <= upto[-1]])
    np.testing.assert_array_equal(*made)
    assert np.isfinite(made[0]).any()
