from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from riskcast.regimes.describe import compare_methods, describe_states


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


def two_states(n=1600, seed=0):
    rng = np.random.default_rng(seed)
    state = np.cumsum(rng.random(n) < 0.02) % 2
    noise = rng.normal(size=(4, n))
    return pl.DataFrame(
        {
            "date": [date(2008, 1, 1) + timedelta(days=i) for i in range(n)],
            "ew94": -9.5 + 1.2 * state + 0.5 * noise[0],
            "rv22": -9.5 + 1.2 * state + 0.5 * noise[1],
            "drawdown_60d": -0.02 - 0.06 * state + 0.02 * noise[2],
            "spy_ret_20d": 0.01 - 0.03 * state + 0.02 * noise[3],
            "spy_vol_20d": 0.1 + 0.2 * state,
        }
    )


def test_every_way_finds_the_calm_and_the_tense_state_and_the_filter_stays_longest():
    table = compare_methods(two_states(), k=2, seed=1)
    assert (table["low"] < 0.15).all()
    assert (table["high"] > 0.25).all()
    assert (table["agreement"] > 90).all()
    stays = dict(table.select("method", "duration").iter_rows())
    assert max(stays, key=stays.get) == "hidden Markov, filtered"
