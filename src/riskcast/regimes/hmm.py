"""A hidden Markov model whose states are told from the past alone.

Libraries' `predict_proba` on a whole series smooths: it lets tomorrow decide what today was. Here
only the forward filter is offered to those who describe sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from riskcast.regimes.mixture import RIDGE, Floats, Mixture

STEPS = 10  # of EM; the mixture it starts from has found the states already
STAY = 0.95  # chance of staying, where EM starts


@dataclass(frozen=True, slots=True)
class Hmm:
    """Gaussian states with a transition matrix.

    Attributes
    ----------
    states : Mixture
        Densities; weights are the chances of the first session.
    transition : ndarray, shape (k, k)
        Row i: where state i goes next.
    """

    states: Mixture
    transition: Floats

    def filtered(self, x: Floats) -> Floats:
        """Return P(state of row t | rows up to t), shape (n, k), for consecutive sessions."""
        log = self.states.log_joint(x) - np.log(self.states.weights)
        density = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        said: Floats = np.empty(density.shape)
        before = self.states.weights
        for t, likely in enumerate(density):
            now = before * likely
            said[t] = now / now.sum()
            before = said[t] @ self.transition
        return said


def fit_hmm(x: Floats, start: Mixture) -> Hmm:
    """Fit by Baum-Welch (Baum et al. 1970) on consecutive rows of shape (n, p), without NaN.

    `start` is a mixture fitted on the same rows; states keep its ids.
    """
    k = len(start.weights)
    hmm = Hmm(start, np.full((k, k), (1 - STAY) / max(k - 1, 1)))
    np.fill_diagonal(hmm.transition, STAY)
    z = start.standardise(x)
    for _ in range(STEPS):
        hmm = _step(hmm, x, z)
    return hmm


def _step(hmm: Hmm, x: Floats, z: Floats) -> Hmm:
    filtered = hmm.filtered(x)
    smoothed, pairs = filtered.copy(), np.zeros_like(hmm.transition)
    for t in range(len(x) - 2, -1, -1):
        joint = filtered[t][:, None] * hmm.transition
        joint *= smoothed[t + 1] / np.maximum(joint.sum(axis=0), 1e-300)
        pairs += joint
        smoothed[t] = joint.sum(axis=1)
    mass = smoothed.sum(axis=0)
    means = smoothed.T @ z / mass[:, None]
    off = z[:, None, :] - means
    covariances = np.einsum("nk,nki,nkj->kij", smoothed, off, off) / mass[:, None, None]
    covariances += RIDGE * np.eye(z.shape[1])
    weights = np.maximum(smoothed[0], 1e-6)
    states = replace(
        hmm.states, weights=weights / weights.sum(), means=means, covariances=covariances
    )
    pairs += RIDGE  # a move never seen is unlikely, not impossible
    return Hmm(states, pairs / pairs.sum(axis=1, keepdims=True))
