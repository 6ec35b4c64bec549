from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from synthetic_market import LINEAR, SMALL, as_of, built

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.design import first_fit
from riskcast.evaluation.walk_forward import (
    OFFSET_MIN_TRAIN,
    fit_candidate,
    schedule,
    walk_forward,
)
from riskcast.models.base import H_BOUNDS

PRODUCT, DESIGN, FEATURES, LABELS = built(SMALL)
WALK = walk_forward(PRODUCT, DESIGN)


def of(model: str, record: pl.DataFrame = WALK.record) -> pl.DataFrame:
    return record.filter(pl.col("model") == model).sort("date")


def test_the_record_has_every_candidate_naive_forecast_and_the_pool():
    expected = (
        {c.name for c in PRODUCT.candidates} | set(PRODUCT.naive) | {"pool_equal", "pool_qlike"}
    )
    assert set(WALK.record["model"]) == expected
    assert set(WALK.seconds) == {c.name for c in PRODUCT.candidates}
    sessions = {of(model).height for model in expected}
    assert sessions == {len(DESIGN.dates) - 5 - first_fit(PRODUCT, DESIGN)}


def test_no_forecast_rests_on_a_fit_that_saw_a_later_session():
    rows = WALK.record.drop_nulls("fit_end")
    assert (rows["fit_end"] <= rows["date"]).all()
    assert (rows["known"] > rows["date"]).all()


def test_each_forecast_uses_the_newest_fit():
    rows = of("gamma_glm")
    refitted = np.arange(rows.height) % PRODUCT.scheme.refit_every == 0
    assert ((rows["date"] == rows["fit_end"]).to_numpy() == refitted).all()


def test_a_recorded_forecast_is_what_a_fit_on_that_day_gives():
    candidate = PRODUCT.candidate("ridge_duan")
    own = DESIGN.take(candidate.columns)
    for fold in schedule(PRODUCT, DESIGN)[:3]:
        session = DESIGN.dates[fold.start]
        fitted = fit_candidate(candidate, own, session)
        assert fitted.fit_end == session.item()
        seen = own.known_by(session)
        by_hand = np.exp(fitted.log_variance(own.x[fold]))
        rows = of("ridge_duan").filter(pl.col("fit_end") == session.item())
        np.testing.assert_allclose(rows["variance_hat"], by_hand)
        assert seen.known.max() == session


def test_the_pool_is_the_mean_of_log_variances():
    members = [np.log(of(name)["variance_hat"].to_numpy()) for name in PRODUCT.pool]
    np.testing.assert_allclose(
        np.log(of("pool_equal")["variance_hat"].to_numpy()), np.mean(members, axis=0), atol=1e-9
    )


def test_a_naive_forecast_is_its_column():
    hv20 = of("hv20")
    expected = FEATURES.join(hv20, on="date", how="semi")["hv20"].to_numpy()
    np.testing.assert_allclose(hv20["variance_hat"], np.clip(expected, *H_BOUNDS))


def test_two_cores_give_what_one_gives():
    assert_frame_equal(walk_forward(PRODUCT, DESIGN, cores=2).record, WALK.record)


def test_a_later_first_forecast_changes_none_that_remains():
    since = date(2004, 1, 5)
    walk = walk_forward(PRODUCT, DESIGN, first_forecast=since)
    assert_frame_equal(walk.record, WALK.record.filter(pl.col("date") >= since))


def test_more_history_changes_no_recorded_forecast():
    shorter = as_of(DESIGN, 899)
    record = walk_forward(PRODUCT, shorter).record
    assert_frame_equal(record, WALK.record.filter(pl.col("known") <= shorter.dates[-1].item()))


def test_progress_tells_every_fit():
    heard: dict[str, list[tuple[int, int]]] = {}

    def hear(name: str, done: int, total: int) -> None:
        heard.setdefault(name, []).append((done, total))

    walk_forward(PRODUCT, DESIGN, cores=2, progress=hear)
    assert set(heard) == {c.name for c in PRODUCT.candidates}
    for told in heard.values():
        assert told == [(i + 1, told[0][1]) for i in range(told[0][1])]


def test_offsets_begin_early_on_the_grid_of_the_others():
    early, usual = (schedule(PRODUCT, DESIGN, early=e) for e in (True, False))
    assert early[-len(usual) :] == usual
    first = DESIGN.dates[early[0].start]
    assert len(DESIGN.known_by(first).dates) >= OFFSET_MIN_TRAIN


def test_a_product_whose_pool_lost_every_column_is_refused():
    with pytest.raises(NotEnoughHistory, match="pool"):
        walk_forward(replace(LINEAR, pool=()), DESIGN)
