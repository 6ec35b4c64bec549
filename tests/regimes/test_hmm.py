import numpy as np
import pytest

from riskcast.core.errors import LookAhead
from riskcast.regimes.hmm import fit_hmm
from riskcast.regimes.mixture import fit_mixture, order_by

N, STAY = 3000, 0.97
RNG = np.random.default_rng(0)
STATES = np.zeros(N, dtype=int)
for t in range(1, N):
    STATES[t] = STATES[t - 1] if RNG.random() < STAY else 1 - STATES[t - 1]
# The clouds overlap, so that a single row says little and its neighbours much.
X = RNG.normal(size=(N, 2)) + 1.5 * STATES[:, None]
START = order_by(fit_mixture(X, k=2, seed=1), 0)
HMM = fit_hmm(X, START)


def check_blind(probabilities, cut: int) -> None:
    """Require that rows up to `cut` do not move when later ones do."""
    changed = X.copy()
    changed[cut + 1 :] = 9.0
    if not np.array_equal(probabilities(X)[: cut + 1], probabilities(changed)[: cut + 1]):
        raise LookAhead("a state moved when later rows did")


def smoothed(x: np.ndarray) -> np.ndarray:
    """What a library's predict_proba gives: states in the light of the whole series."""
    filtered = HMM.filtered(x)
    out = filtered.copy()
    for t in range(len(x) - 2, -1, -1):
        joint = filtered[t][:, None] * HMM.transition
        out[t] = (joint * (out[t + 1] / joint.sum(axis=0))).sum(axis=1)
    return out


def test_the_transition_matrix_and_the_centres_are_found():
    assert HMM.transition.sum(axis=1) == pytest.approx(1.0)
    assert np.diag(HMM.transition) == pytest.approx([STAY, STAY], abs=0.02)
    centres = HMM.states.means * HMM.states.scale + HMM.states.center
    assert centres == pytest.approx(np.array([[0, 0], [1.5, 1.5]]), abs=0.15)


def test_knowing_the_past_tells_states_better_than_a_row_alone():
    by_row = (START.probabilities(X).argmax(axis=1) == STATES).mean()
    by_filter = (HMM.filtered(X).argmax(axis=1) == STATES).mean()
    assert by_filter > by_row + 0.05


@pytest.mark.parametrize("cut", [10, 1000, 2500])
def test_a_filtered_state_does_not_move_when_the_future_does(cut):
    check_blind(HMM.filtered, cut)


def test_planted_smoothing_is_caught():
    with pytest.raises(LookAhead):
        check_blind(smoothed, 1000)
