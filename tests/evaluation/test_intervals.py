from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from synthetic_market import LINEAR as MODELS

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation import intervals
from riskcast.models.calibration import MIN_RATIOS, Calibration

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
    i = 250
    past = np.log(rows["variance"] / rows["variance_hat"]).to_numpy()[: i - 4]
    ends = Calibration.of(past).intervals(np.log(rows["variance_hat"].to_numpy()[i : i + 1]))
    row = made.filter(pl.col("date") == rows["date"][i])
    assert row.select("lo_80", "hi_80").row(0) == pytest.approx(tuple(ends[80][0]))


def test_intervals_cover_as_promised_where_errors_are_alike():
    made = intervals.calibrated(*record(2500), LINEAR)
    for level in (50, 80, 95):
        assert intervals.coverage(made, level) == pytest.approx(level / 100, abs=0.03)


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


def test_too_few_outcomes_are_refused():
    with pytest.raises(NotEnoughHistory):
        intervals.calibrated(*record(MIN_RATIOS), LINEAR)
