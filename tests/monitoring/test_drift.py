"""Drift is judged by the past alone, finds planted faults and keeps quiet about persistence."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from riskcast.core.errors import NotEnoughHistory
from riskcast.monitoring.drift import STATISTICS, Windows, measure
from riskcast.monitoring.limits import bounds, judge, persistent
from riskcast.monitoring.response import Brake, decide

N = 1500
SMALL = Windows(reference=500, first=252)


def world(seed=1, n=N):
    """A persistent series, one that follows from it, its noise, and a mean over five sessions."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=n)
    slow = np.zeros(n)
    for i in range(1, n):
        slow[i] = 0.97 * slow[i - 1] + noise[i]
    mean = np.convolve(noise, np.ones(5) / 5)[:n]
    return np.column_stack([slow, np.exp(slow / 4), noise, mean])


def test_what_comes_later_changes_nothing_that_was_judged():
    x = world()
    cut = 1203
    whole, then = judge(x, windows=SMALL), judge(x[:cut], windows=SMALL)
    np.testing.assert_array_equal(whole.value[:cut], then.value)
    np.testing.assert_array_equal(whole.bound[:cut], then.bound)


def test_a_bound_that_looked_ahead_would_be_caught_by_that_check():
    x = world()
    value = persistent(measure(x, SMALL))
    future = x.copy()
    future[1203:] *= 50
    leaky = bounds(value[252:]), bounds(persistent(measure(future, SMALL))[252:])
    assert not np.array_equal(*leaky)


@pytest.mark.parametrize("column", [0, 1, 2, 3])
@pytest.mark.parametrize("fault", ["unit", "stuck"])
def test_a_fault_is_found_within_four_weeks(column, fault):
    x = world()
    at = N - 20
    x[at:, column] = 100 * x[at:, column] if fault == "unit" else x[at - 1, column]
    assert judge(x, since=at, windows=SMALL).beyond.any()


def test_a_series_that_follows_another_cannot_be_flipped_or_lag_unseen():
    for fault in ("flip", "lag"):
        x = world()
        at = N - 20
        x[at:, 3] = -x[at:, 3] if fault == "flip" else x[at - 1 : -1, 3]
        assert judge(x, since=at, windows=SMALL).beyond.any(), fault


def test_a_persistent_series_is_left_alone_where_the_fixed_rule_is_not():
    x = world(3)
    judged = judge(x, windows=SMALL)
    known = np.isfinite(judged.bound).all(axis=(1, 2))
    weeks = judged.beyond[known].any(axis=1)
    psi = measure(x, SMALL)[known][:, :, STATISTICS.index("psi")]
    assert weeks.mean() < 0.2 < (psi > 0.2).any(axis=1).mean()


def test_missing_values_are_no_news_to_the_statistics():
    x = world()
    gap = x.copy()
    gap[1400, 0] = np.nan
    assert np.isfinite(measure(gap, SMALL)[252:]).all()


def test_a_short_history_is_refused():
    with pytest.raises(NotEnoughHistory, match="504"):
        measure(np.zeros((100, 2)))


def test_permanent_drift_retrains_once_a_cool_down_and_within_the_budget():
    sessions = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(252)]
    made = decide(sessions[:30], sessions, [], Brake(cool_down=20))
    assert [sessions.index(at) for at in made] == [0, 21]
    assert len(decide(sessions, sessions, [], Brake(cool_down=20, budget=4))) == 4
    assert decide(sessions[5:6], sessions, sessions[:1], Brake(cool_down=20)) == []
