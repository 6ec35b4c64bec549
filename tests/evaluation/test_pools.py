import numpy as np

from riskcast.evaluation.pools import DECAY, POWER, qlike_weights

N = 400
DATES = np.busday_offset("2010-01-04", np.arange(N + 5))


def scene(seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(-7.5, 0.5, N)
    log_h = truth[:, None] + rng.normal(size=(N, 3)) * [0.1, 0.4, 0.8]
    return log_h, np.exp(truth) * rng.chisquare(5, N) / 5, DATES[:N], DATES[5:]


def test_weights_are_shares_and_the_better_member_has_the_larger():
    weights = qlike_weights(*scene())
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights[:5], 1 / 3)
    assert (np.diff(weights[-1]) < 0).all()


def test_weights_are_the_discounted_scores_known_at_the_session():
    log_h, y, dates, known = scene()
    row = 37
    seen = np.flatnonzero(known <= dates[row])
    ratio = y[seen, None] / np.exp(log_h[seen])
    loss = ratio - np.log(ratio) - 1
    age = DECAY ** np.arange(len(seen))[::-1]
    share = ((age[:, None] * loss).sum(axis=0) / age.sum()) ** -POWER
    found = qlike_weights(log_h, y, dates, known)[row]
    np.testing.assert_allclose(found, share / share.sum())


def test_a_score_does_not_count_before_its_outcome_is_known():
    log_h, y, dates, known = scene()
    row = 200
    late = known > dates[row]
    wild = np.where(late, y * np.exp(np.random.default_rng(1).normal(scale=3, size=N)), y)
    honest = qlike_weights(log_h, y, dates, known)
    changed = qlike_weights(log_h, wild, dates, known)
    np.testing.assert_array_equal(honest[: row + 1], changed[: row + 1])
    # Planted: scores that count on the day of the forecast do move.
    early = [qlike_weights(log_h, values, dates, dates)[: row + 1] for values in (y, wild)]
    assert not np.array_equal(*early)


def test_a_session_without_outcome_or_forecast_is_not_scored():
    log_h, y, dates, known = scene()
    y[50], log_h[60, 1], known = np.nan, np.nan, known.copy()
    known[70] = np.datetime64("NaT")
    assert np.isfinite(qlike_weights(log_h, y, dates, known)).all()
