import numpy as np
import polars as pl
import pytest
from known_skill import market_record

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.scores import common_span, per_year, score
from riskcast.products import DAILY_RISK


def test_models_are_scored_on_the_sessions_they_share():
    record, _ = market_record()
    gap = record.filter((pl.col("model") != "hv20") | (pl.col("date").dt.year() > 2010))
    shared = common_span(gap)
    assert shared["date"].dt.year().min() == 2011
    assert set(shared.group_by("model").len()["len"]) == {shared["date"].n_unique()}


def test_a_table_of_scores_ranks_models_and_compares_them():
    record, _ = market_record()
    table = score(record, DAILY_RISK)
    rows = {row["model"]: row for row in table.iter_rows(named=True)}
    assert table["qlike"].is_sorted()
    pool, hv20 = rows["pool_equal"], rows["hv20"]
    assert pool["vs_hv20"] == pytest.approx(100 * (1 - pool["qlike"] / hv20["qlike"]))
    assert rows["log_har_vix"]["vs_log_har_vix"] == 0.0
    assert rows["log_har_vix"]["dm_p"] == 1.0
    y = record.filter(pl.col("model") == "hv20")
    error = np.sqrt(y["variance"]) - np.sqrt(y["variance_hat"])
    assert hv20["rmse_bp"] == pytest.approx(1e4 * np.sqrt((error**2).mean()))


def test_yearly_losses_average_to_the_total():
    record, _ = market_record()
    years = per_year(record)
    weights = (
        common_span(record)
        .filter(pl.col("model") == "hv20")
        .group_by(pl.col("date").dt.year())
        .len()
    )
    total = years.join(weights, left_on="year", right_on="date")
    mean = (total["hv20"] * total["len"]).sum() / total["len"].sum()
    rows = score(record, DAILY_RISK).filter(pl.col("model") == "hv20")
    assert rows["qlike"][0] == pytest.approx(mean)


def test_models_without_a_common_session_are_refused():
    record, _ = market_record()
    early = pl.col("date").dt.year() == 2010
    apart = record.filter(
        ((pl.col("model") == "hv20") & early) | ((pl.col("model") == "ewma") & ~early)
    )
    with pytest.raises(NotEnoughHistory):
        common_span(apart)
