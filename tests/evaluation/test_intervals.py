import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from synthetic_market import LINEAR as MODELS

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation import intervals
from riskcast.models import calibration
from riskcast.models.calibration import MIN_RATIOS, STEP

LINEAR = replace(MODELS, regime_columns=())


def record(n: int = 700, *, seed: int = 0):
    """Forecasts that are right on average, with an error of known distribution."""
    rng = np.random.default_rng(seed)
    dates = np.busday_offset("2010-01-04", np.arange(n + 5))
    h = np.exp(rng.normal(-7.5, 0.6, n))
    rows = pl.DataFrame(
        {
            "model": [LINEAR.pool_name] * n,
            "date": dates[:n],
            "known": dates[5:],
            "variance_hat": h,
            "variance": h * np.exp(rng.normal(-0.2, 0.7, n)),
        }
    )
    low, high = LINEAR.thresholds
    return rows, rows.select("date", pl.lit(0.02).alias(low), pl.lit(0.03).alias(high))


def test_each_session_is_calibrated_on_the_outcomes_known_at_its_close():
    rows, thresholds = record(300)
    made = intervals.calibrated(rows, thresholds, LINEAR)
    assert made.height == 300 - MIN_RATIOS - 4
    i, ratios = 250, np.log(rows["variance"] / rows["variance_hat"]).to_numpy()
    ends = by_definition(ratios, i)
    h = rows["variance_hat"][i]
    row = made.filter(pl.col("date") == rows["date"][i])
    said = np.sqrt(h * np.exp(ends[[4, 2, 0, 1, 3, 5]]))
    names = ("lo_95", "lo_80", "lo_50", "hi_50", "hi_80", "hi_95")
    assert row.select(names).row(0) == pytest.approx(tuple(np.sort(said)))


def by_definition(ratios: np.ndarray, session: int) -> np.ndarray:
    """Ends at a session, one by one: an order statistic and what earlier misses added to it."""
    tails = [0.25, 0.75, 0.1, 0.9, 0.025, 0.975]
    said: dict[int, np.ndarray] = {}
    moved = np.zeros(6)
    for t in range(session + 1):
        if t - 5 in said:
            moved = moved + STEP * (np.array(tails) - (ratios[t - 5] < said[t - 5]))
        known = np.sort(ratios[: t - 4]) if t > 4 else []
        if (m := len(known)) >= MIN_RATIOS:
            low = (int((m + 1) * tail) - 1 for tail in tails)
            rank = [i if tail < 0.5 else math.ceil((m + 1) * tail) - 1
                    for i, tail in zip(low, tails, strict=True)]  # fmt: skip
            said[t] = known[rank] + moved
    return said[session]


def test_intervals_cover_as_promised_where_errors_are_alike():
    made = intervals.calibrated(*record(2500), LINEAR)
    for level in (50, 80, 95):
        assert intervals.coverage(made, level) == pytest.approx(level / 100, abs=0.03)


def test_intervals_go_on_covering_when_times_grow_wilder(monkeypatch):
    rows, thresholds = record(2500)
    grows = np.exp(np.linspace(0, 1.5, 2500) * np.random.default_rng(2).normal(size=2500))
    wilder = rows.with_columns(variance=pl.col("variance") * pl.Series(grows))
    moved = intervals.calibrated(wilder, thresholds, LINEAR).tail(1500)
    monkeypatch.setattr(calibration, "STEP", 0.0)
    still = intervals.calibrated(wilder, thresholds, LINEAR).tail(1500)
    for level in (80, 95):
        off = [abs(intervals.coverage(made, level) - level / 100) for made in (moved, still)]
        assert off[0] < 0.03
        assert off[1] > off[0] + 0.015


def test_the_served_calibration_is_the_one_the_walk_forward_would_use_next():
    rows, thresholds = record(700)
    then = rows["known"][-1]  # all outcomes are known, and one more session is forecast
    served = intervals.served_calibration(rows, LINEAR, np.datetime64(then))
    extra = rows.tail(1).with_columns(
        date=pl.lit(then), known=pl.lit(then).dt.offset_by("7d"), variance_hat=pl.lit(4e-4)
    )
    bounds = pl.concat([thresholds, thresholds.tail(1).with_columns(date=pl.lit(then))])
    said = intervals.calibrated(pl.concat([rows, extra]), bounds, LINEAR).tail(1)
    for level, ends in served.intervals(np.log([4e-4])).items():
        assert said.select(f"lo_{level}", f"hi_{level}").row(0) == pytest.approx(tuple(ends[0]))
    assert np.abs(served.shifts).max() > 0


def test_probabilities_mean_what_they_say():
    made = intervals.calibrated(*record(2500), LINEAR)
    said = made["p_risk_off"].to_numpy()
    came = (made["rv"] > made["high"]).to_numpy()
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 1.0)):
        inside = (said >= low) & (said < high)
        assert came[inside].mean() == pytest.approx(said[inside].mean(), abs=0.06)


def by_hand():
    return pl.DataFrame(
        {"rv": [1.0, 3.0, 0.0, 2.0], "lo_80": [0.5] * 4, "hi_80": [2.0] * 4},
    )


def test_golden_coverage_and_interval_score():
    assert intervals.coverage(by_hand(), 80) == 0.5
    # width 1.5, plus 10 times 1.0 and 0.5 outside
    assert intervals.interval_score(by_hand(), 80) == pytest.approx(1.5 + 10 * 1.5 / 4)


def test_the_worst_stretch_of_coverage_is_found():
    rv = np.ones(1000)
    rv[400:526] = 5.0
    rows = pl.DataFrame({"rv": rv, "lo_80": np.zeros(1000), "hi_80": np.full(1000, 2.0)})
    assert intervals.worst_coverage(rows, 80) == pytest.approx(0.5)
    assert np.isnan(intervals.worst_coverage(rows[:100], 80))


def test_no_session_has_no_scores():
    with pytest.raises(NotEnoughHistory, match="nothing to score"):
        intervals.summary(by_hand().clear())


def test_too_few_outcomes_are_refused():
    with pytest.raises(NotEnoughHistory):
        intervals.calibrated(*record(MIN_RATIOS), LINEAR)
