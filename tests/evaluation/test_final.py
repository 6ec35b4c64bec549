from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from synthetic_market import SMALL, as_of, built

from riskcast.core.errors import ArtifactRefused, DeclarationError, NotEnoughHistory
from riskcast.evaluation.final import fit_served
from riskcast.evaluation.intervals import outcomes
from riskcast.evaluation.losses import qlike
from riskcast.evaluation.regime_probs import fit_at, walk
from riskcast.evaluation.walk_forward import fit_candidate, walk_forward
from riskcast.models.served import ServedModel

PRODUCT, DESIGN, _, _ = built(SMALL)
RECORD = walk_forward(PRODUCT, DESIGN).record
MODEL = fit_served(PRODUCT, DESIGN, RECORD)


def test_it_is_fitted_at_the_newest_session_whose_label_is_known():
    assert MODEL.fit_end == DESIGN.dates[-1].item()
    assert {m.fitted.fit_end for m in MODEL.members} == {MODEL.fit_end}


def test_the_members_of_the_pool_share_the_weight_and_an_offset_has_none():
    weights = {m.name: m.weight for m in MODEL.members}
    assert weights.pop("log_har_vix") == 0.0
    assert weights == pytest.approx(dict.fromkeys(PRODUCT.pool, 1 / 3))


def test_what_serves_is_what_the_walk_forward_describes():
    # At the close of a refit session the served fit must give the recorded forecast.
    refit = RECORD.filter(pl.col("fit_end") == pl.col("date"))["date"].unique().sort()[-1]
    row = int(np.searchsorted(DESIGN.dates, np.datetime64(refit)))
    then = as_of(DESIGN, row)
    model = fit_served(PRODUCT, then, RECORD)
    x, bounds = then.take(model.columns).x[-1:], then.take(model.thresholds).x[-1:]
    recorded = RECORD.filter(pl.col("date") == refit, pl.col("model") == PRODUCT.pool_name)
    assert model.forecast(x, bounds).variance[0] == pytest.approx(recorded["variance_hat"][0])


def test_the_same_data_and_seed_give_the_same_files_to_the_byte():
    assert fit_served(PRODUCT, DESIGN, RECORD).dump() == MODEL.dump()
    assert fit_served(PRODUCT, DESIGN, RECORD, seed=1).dump() != MODEL.dump()


def test_it_survives_storage():
    again = ServedModel.load(MODEL.dump())
    x, bounds = DESIGN.take(MODEL.columns).x[-60:], DESIGN.take(MODEL.thresholds).x[-60:]
    np.testing.assert_array_equal(
        again.forecast(x, bounds).contributions, MODEL.forecast(x, bounds).contributions
    )


def test_a_model_without_a_record_is_refused():
    with pytest.raises(NotEnoughHistory, match="out-of-sample"):
        fit_served(PRODUCT, DESIGN, RECORD.filter(pl.col("date") < date(2002, 9, 20)))


def test_a_pool_member_forecasts_as_if_fitted_alone():
    alone = fit_candidate(
        PRODUCT.candidate("gamma_glm"),
        DESIGN.take(PRODUCT.candidate("gamma_glm").columns),
        np.datetime64(MODEL.fit_end),
    )
    member = next(m for m in MODEL.members if m.name == "gamma_glm")
    assert member.fitted.dump() == alone.dump()


def test_the_served_logits_are_those_the_walk_forward_would_use_next():
    upto = RECORD.filter(pl.col("known") <= MODEL.fit_end)
    x, bounds = (DESIGN.take(c).x for c in (PRODUCT.regime_columns, PRODUCT.thresholds))
    past, _ = outcomes(upto, PRODUCT, DESIGN.dates, x, bounds)
    again = fit_at(past, np.datetime64(MODEL.fit_end), walk(past)[1])
    assert again.dump() == MODEL.logits.dump()
    assert MODEL.logits.fit_end <= MODEL.fit_end


def test_served_probabilities_are_the_blend():
    x, bounds = DESIGN.take(MODEL.columns).x[-60:], DESIGN.take(MODEL.thresholds).x[-60:]
    made, alone = (m.forecast(x, bounds) for m in (MODEL, replace(MODEL, logits=None)))
    own = x[:, [MODEL.columns.index(name) for name in MODEL.logits.columns]]
    blend = MODEL.logits.blend(alone.regime_probs, own, np.log(made.variance), bounds)
    np.testing.assert_allclose(made.regime_probs, blend)
    assert np.abs(made.regime_probs - alone.regime_probs).max() > 0.01


def test_logits_that_read_an_unserved_column_or_saw_too_much_are_refused():
    later = replace(MODEL, logits=replace(MODEL.logits, fit_end=date(2030, 1, 1)))
    stray = replace(MODEL.logits, columns=("vix", *MODEL.logits.columns[1:]))
    with pytest.raises(ArtifactRefused, match="fit_end"):
        ServedModel.load(later.dump())
    with pytest.raises(ArtifactRefused, match="vix"):
        replace(MODEL, logits=stray)


def test_a_pool_by_past_scores_serves_the_weights_of_the_walk_forward():
    weighted = replace(PRODUCT, pool_name="pool_qlike")
    model = fit_served(weighted, DESIGN, RECORD)
    weights = {m.name: m.weight for m in model.members if m.name in PRODUCT.pool}
    assert sum(weights.values()) == pytest.approx(1)
    losses = {
        name: qlike(
            *(
                RECORD.filter(pl.col("model") == name)[c].to_numpy()
                for c in ("variance", "variance_hat")
            )
        ).mean()
        for name in PRODUCT.pool
    }
    assert min(losses, key=losses.get) == max(weights, key=weights.get)
    with pytest.raises(DeclarationError, match="no pool"):
        fit_served(replace(PRODUCT, pool_name="gamma_glm"), DESIGN, RECORD)
