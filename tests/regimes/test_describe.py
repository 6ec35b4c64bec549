from datetime import date, timedelta

import polars as pl
import pytest

from riskcast.regimes.describe import describe_states


def features(states, vix=20.0):
    n = len(states)
    return pl.DataFrame(
        {
            "date": [date(2008, 1, 1) + timedelta(days=i) for i in range(n)],
            "regime_cluster_id": states,
            "spy_vol_20d": [0.1 if s == 0 else 0.3 for s in states],
            "drawdown_60d": [-0.01 if s == 0 else -0.1 for s in states],
            "spy_ret_20d": [0.01 if s == 0 else -0.02 for s in states],
            "vix": [vix] * n,
        },
        schema_overrides={"vix": pl.Float64, "regime_cluster_id": pl.Int64},
    )


def test_each_state_is_described_by_its_own_sessions():
    table = describe_states(features([0] * 60 + [1] * 40 + [0] * 100 + [None] * 10))
    calm, tense = table.rows(named=True)
    assert (calm["sessions"], tense["sessions"]) == (160, 40)
    assert (calm["share"], calm["duration"]) == (80.0, 80.0)
    assert calm["episodes"] == ["2008-01 to 2008-02", "2008-04 to 2008-07"]
    assert tense["spy_vol_20d"] == pytest.approx(0.3)
    assert tense["words"].startswith("State 1: volatility 30% a year, 10.0% below the 60-session")
    assert "VIX around 20" in tense["words"]
    assert "falling by 2.0% a month" in tense["words"]


def test_what_is_unknown_is_not_said():
    assert "VIX" not in describe_states(features([0, 1], vix=None))["words"][0]


def test_without_states_there_is_nothing_to_describe():
    assert describe_states(features([None, None])).is_empty()
