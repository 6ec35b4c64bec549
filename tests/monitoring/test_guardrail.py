"""The guardrail finds gross failure, keeps quiet otherwise and looks at the past only."""

import numpy as np
import pytest

from riskcast.core.errors import NotEnoughHistory
from riskcast.monitoring.guardrail import Guardrail, block_rows, calibrate


def losses(seed, n=2000):
    """Losses of three similar models: a common part that clusters, and a small one of their own."""
    rng = np.random.default_rng(seed)
    common = np.convolve(rng.gamma(0.7, 0.5, n + 4), np.ones(5) / 5, "valid")
    return tuple(common * np.exp(rng.normal(0, 0.1, n)) for _ in range(3))


def test_the_path_is_the_sum_that_never_falls_below_zero():
    champion, previous, benchmark = losses(1, 300)
    test = Guardrail(champion.mean())
    soft = 0.25 * test.unit
    total, said = 0.0, []
    for mine, *others in zip(champion, previous, benchmark, strict=True):
        step = np.log((mine + soft) / (max(others) + soft)) - 0.1
        total = max(0.0, total + step)
        said.append(total)
    np.testing.assert_allclose(test.path(champion, previous, benchmark), said, atol=1e-12)


def test_false_alarms_are_rare_and_a_doubled_loss_is_found_within_20_sessions():
    champion, previous, benchmark = losses(2)
    test = calibrate(champion, (previous,), benchmark, seed=3)
    fresh = losses(4, 2000)
    rng = np.random.default_rng(5)
    years = block_rows(2000, 252, 500, rng)
    alarms = test.path(*(loss[years] for loss in fresh)).max(axis=1) > test.bound
    assert alarms.mean() <= 0.02
    months = rng.integers(1980, size=500)[:, None] + np.arange(20)
    mine, *others = (loss[months] for loss in fresh)
    assert (test.path(2 * mine, *others).max(axis=1) > test.bound).mean() >= 0.9


def test_a_loss_that_everybody_suffers_is_no_reason_to_roll_back():
    champion, previous, benchmark = losses(6)
    test = calibrate(champion, (previous,), benchmark, seed=3)
    for loss in (champion, previous, benchmark):
        loss[1900:] = 8.0
    path = test.path(champion, previous, benchmark)
    assert (np.diff(path[1899:]) <= 0).all()


def test_what_comes_later_changes_no_sum_of_today():
    champion, previous, benchmark = losses(7, 200)
    test = Guardrail(0.4, 1.0)
    whole = test.path(champion, previous, benchmark)
    np.testing.assert_array_equal(
        whole[:120], test.path(champion[:120], previous[:120], benchmark[:120])
    )


def test_a_short_record_is_refused():
    champion, previous, benchmark = losses(8, 100)
    with pytest.raises(NotEnoughHistory, match="504"):
        calibrate(champion, (previous,), benchmark, seed=1)
