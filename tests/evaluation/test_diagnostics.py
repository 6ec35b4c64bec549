from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from known_skill import market_record

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.diagnostics import (
    SIZE,
    ablation,
    confidence_set,
    cumulative_difference,
    mincer_zarnowitz,
    reducible_share,
)
from riskcast.products import DAILY_RISK, Candidate

RECORD, _ = market_record()


def columns(model: str, record: pl.DataFrame = RECORD):
    rows = record.filter(pl.col("model") == model)
    return rows["variance"].to_numpy(), rows["variance_hat"].to_numpy()


def test_mincer_zarnowitz_is_weighted_least_squares_with_newey_west():
    y, h = columns("pool_equal")
    x = np.column_stack([1 / h, np.ones(len(h))])
    fitted = sm.OLS(y / h, x).fit(cov_type="HAC", cov_kwds={"maxlags": 10, "use_correction": False})
    wald = fitted.wald_test((np.eye(2), [0, 1]), use_f=False, scalar=True)
    found = mincer_zarnowitz(y, h)
    assert (found["intercept"], found["slope"]) == pytest.approx(tuple(fitted.params), rel=1e-6)
    assert found["p"] == pytest.approx(float(wald.pvalue), rel=1e-4)


def test_an_honest_forecast_passes_and_a_biased_or_bold_one_fails():
    rng = np.random.default_rng(0)
    h = np.exp(rng.normal(-7.5, 0.6, 3000))
    y = h * rng.chisquare(5, 3000) / 5
    assert mincer_zarnowitz(y, h)["p"] > 0.05
    assert mincer_zarnowitz(y, 1.2 * h)["p"] < 0.01
    bold = np.exp(1.5 * (np.log(h) + 7.5) - 7.5)
    assert mincer_zarnowitz(y, bold)["p"] < 0.01


def test_too_few_forecasts_are_refused():
    with pytest.raises(NotEnoughHistory):
        mincer_zarnowitz(np.ones(20), np.ones(20))


def test_the_confidence_set_keeps_the_best_and_drops_the_hopeless():
    found = confidence_set(RECORD)
    assert set(found) == set(RECORD["model"])
    assert found["pool_equal"] == 1.0
    assert found["hv20"] < SIZE
    assert confidence_set(RECORD) == found


def test_a_perfect_forecast_saves_all_that_is_reducible():
    assert reducible_share(0.213, 0.5, 0.213) == 100
    assert reducible_share(0.5, 0.5, 0.213) == 0


def test_the_cumulative_difference_ends_at_the_sum_of_what_was_saved():
    curve = cumulative_difference(RECORD, "pool_equal", "hv20")
    ratio = {m: np.divide(*columns(m)) for m in ("pool_equal", "hv20")}
    loss = {m: (r - np.log(r) - 1).sum() for m, r in ratio.items()}
    assert curve["gained"][-1] == pytest.approx(loss["hv20"] - loss["pool_equal"])
    assert curve["date"].is_sorted()


def test_an_ablation_compares_with_the_model_that_lacks_the_columns():
    small = Candidate("small", "log_ols", ("tv1",))
    large = Candidate("large", "log_ols", ("tv1", "tv5"), partial=True)
    other = Candidate("other", "log_ols", ("tv22", "tv5"), partial=True)
    product = replace(DAILY_RISK, candidates=(*DAILY_RISK.candidates, small, large, other))
    record, _ = market_record(small=0.1, large=0.4, other=0.2)
    table = ablation(record, product)
    row = table.row(0, named=True)
    assert table.height == 1
    assert (row["model"], row["without"], row["added"]) == ("large", "small", ["tv5"])
    assert row["change"] > 0
    assert row["dm_p"] < 0.05
