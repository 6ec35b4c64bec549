"""Effects along time come from fits that did not know what they explain, and add up."""

import numpy as np
import polars as pl
import pytest
from synthetic_market import SMALL, built

from riskcast.core.errors import LookAhead, NotEnoughHistory
from riskcast.evaluation import attribution
from riskcast.evaluation.attribution import (
    importance,
    rank_stability,
    yearly_effects,
    yearly_importance,
)
from riskcast.evaluation.walk_forward import walk_forward

PRODUCT, DESIGN, _, _ = built(SMALL)
RECORD = walk_forward(PRODUCT, DESIGN).record
EFFECTS = yearly_effects(PRODUCT, DESIGN, RECORD)
CUT = np.datetime64("2004-03-01")


def with_wild_future(cut: np.datetime64):
    late = DESIGN.dates > cut
    unknown = ~(DESIGN.known <= cut)
    x = np.where(late[:, None], DESIGN.x * 3 + 1, DESIGN.x)
    y = np.where(unknown, DESIGN.y * 50, DESIGN.y)
    ranges = None if DESIGN.ranges is None else np.where(unknown, DESIGN.ranges * 50, DESIGN.ranges)
    return DESIGN.__class__(DESIGN.columns, x, y, DESIGN.dates, DESIGN.known, ranges)


def check_blind(explain) -> None:
    upto = pl.col("date") <= CUT.item()
    now, then = (explain(design).filter(upto) for design in (DESIGN, with_wild_future(CUT)))
    if not now.equals(then):
        raise LookAhead("an effect moved when later rows did")


def test_every_forecast_of_the_pool_is_explained_by_every_column():
    days = RECORD.filter(pl.col("model") == PRODUCT.pool_name)["date"]
    columns = {c for name in PRODUCT.pool for c in PRODUCT.candidate(name).columns}
    assert set(EFFECTS["column"]) == columns
    assert EFFECTS.height == len(days) * len(columns)
    assert EFFECTS["date"].unique().sort().to_list() == sorted(days)


def test_effects_do_not_move_when_the_future_does():
    check_blind(lambda design: yearly_effects(PRODUCT, design, RECORD))


def test_planted_effects_of_a_fit_on_all_years_are_caught(monkeypatch):
    honest = attribution.fit_members

    def at_the_end(product, design, session, weights, paths, *, seed):
        end = np.datetime64(design.fit_end)
        return honest(product, design, end, weights, paths, seed=seed)

    monkeypatch.setattr(attribution, "fit_members", at_the_end)
    with pytest.raises(LookAhead):
        check_blind(lambda design: yearly_effects(PRODUCT, design, RECORD))


def test_at_the_session_of_a_fit_effects_sum_to_the_recorded_forecast_but_for_the_base():
    # On a year's refit session both fits are the same, so forecasts differ as effects do.
    day = RECORD.filter(pl.col("fit_end") == pl.col("date"))["date"].unique().sort()[-1]
    mine = RECORD.filter(pl.col("date") >= day)
    said = yearly_effects(PRODUCT, DESIGN, mine).group_by("date").agg(pl.col("effect").sum())
    pool = mine.filter(pl.col("model") == PRODUCT.pool_name).join(said, on="date").sort("date")
    base = np.log(pool["variance_hat"].to_numpy()) - pool["effect"].to_numpy()
    assert np.ptp(base[:5]) < 1e-6


def small(years=(2001, 2002), **effects):
    rows = [
        {"date": pl.date(y, 1, 1), "column": name, "value": 0.0, "effect": sizes[i]}
        for i, y in enumerate(years)
        for name, sizes in effects.items()
    ]
    return pl.concat([pl.select(**{k: v for k, v in row.items() if k != "column"}).with_columns(
        pl.lit(row["column"]).alias("column")) for row in rows])  # fmt: skip


def test_importance_is_the_share_of_the_mean_absolute_effect():
    table = importance(small(a=(1.0, -2.0), b=(0.5, 0.5)))
    assert table.rows() == [("a", pytest.approx(75.0)), ("b", pytest.approx(25.0))]
    years = yearly_importance(small(a=(1.0, -2.0), b=(0.5, 0.5)))
    assert years.filter(pl.col("column") == "a")["share"].to_list() == pytest.approx([200 / 3, 80])


def test_an_order_that_stays_is_stable_and_one_turned_round_is_not():
    assert rank_stability(small(a=(3.0, 6.0), b=(2.0, 4.0), c=(1.0, 2.0))) == pytest.approx(1)
    assert rank_stability(small(a=(3.0, 1.0), b=(2.0, 2.0), c=(1.0, 3.0))) == pytest.approx(-1)
    assert np.isnan(rank_stability(small(years=(2001,), a=(1.0,), b=(2.0,))))


def test_without_a_forecast_there_is_nothing_to_explain():
    with pytest.raises(NotEnoughHistory, match="nothing explained"):
        yearly_effects(PRODUCT, DESIGN, RECORD.filter(pl.col("model") == "hv20"))
