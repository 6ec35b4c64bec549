"""A Gaussian mixture with named states, and how states keep their ids from fit to fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Gaussian mixture on standardised inputs.

    Attributes
    ----------
    center, scale : ndarray, shape (p,)
        Mean and standard deviation of each input over the rows fitted.
    weights : ndarray, shape (k,)
    means : ndarray, shape (k, p), standardised
    covariances : ndarray, shape (k, p, p), standardised
    """

    center: Floats
    scale: Floats
    weights: Floats
    means: Floats
    covariances: Floats

    def standardise(self, x: Floats) -> Floats:
        """Return rows of shape (n, p) on the scale of the fit."""
        return (x - self.center) / self.scale

    def probabilities(self, x: Floats) -> Floats:
        """Return the posterior of each state, shape (n, k); each row uses its own inputs only."""
        z = self.standardise(x)
        log = np.column_stack(
            [
                np.log(w) + _log_density(z - m, c)
                for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
            ]
        )
        log -= log.max(axis=1, keepdims=True)
        weight = np.exp(log)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float64)

    def distances(self, x: Floats) -> Floats:
        """Return Mahalanobis distances to the state centres, shape (n, k)."""
        z = self.standardise(x)
        squares = [
            _squared_distance(z - m, _factor(c))
            for m, c in zip(self.means, self.covariances, strict=True)
        ]
        return np.sqrt(np.column_stack(squares))

    def reorder(self, order: NDArray[np.intp]) -> Mixture:
        """Return the same mixture with state i being the old state ``order[i]``."""
        return Mixture(
            self.center,
            self.scale,
            self.weights[order],
            self.means[order],
            self.covariances[order],
        )


def _log_density(deviations: Floats, covariance: Floats) -> Floats:
    """Return the log density of a centred Gaussian at each row, shape (n,)."""
    factor = _factor(covariance)
    log_determinant = 2.0 * float(np.log(np.diag(factor)).sum())
    constant = len(factor) * math.log(2.0 * math.pi) + log_determinant
    return -0.5 * (constant + _squared_distance(deviations, factor))


def _factor(covariance: Floats) -> Floats:
    return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def _squared_distance(deviations: Floats, factor: Floats) -> Floats:
    """Return d' C^-1 d of each row d, shape (n,), for C = L L' with lower `factor` L.

    By forward substitution one input at a time: a product of matrices sums in an order that
    depends on the number of rows, and a row must come out the same alone and among thousands.
    """
    total = np.zeros(len(deviations))
    solved: list[Floats] = []
    for i, row in enumerate(factor):
        rest = deviations[:, i].copy()
        for j, y in enumerate(solved):
            rest -= row[j] * y
        solved.append(rest / row[i])
        total += solved[i] * solved[i]
    return total


def fit_mixture(x: Floats, *, k: int, seed: int) -> Mixture:
    """Fit a mixture by EM on rows of shape (n, p) without missing values.

    A ridge of 1e-4 on the (standardised) covariances keeps a state from collapsing on one crisis.
    """
    # Imported here: it takes seconds, and most runs have no fit due.
    from sklearn.mixture import GaussianMixture

    center, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    fitted = GaussianMixture(
        k, covariance_type="full", reg_covar=1e-4, random_state=seed, max_iter=200
    ).fit((x - center) / scale)
    return Mixture(center, scale, fitted.weights_, fitted.means_, fitted.covariances_)


def order_by(mixture: Mixture, column: int) -> Mixture:
    """Order states by the mean of one input, smallest first."""
    return mixture.reorder(np.argsort(mixture.means[:, column], kind="stable"))


def match(mixture: Mixture, previous: Mixture) -> Mixture:
    """Give each state the id of the nearest state of the previous fit.

    The assignment minimises the summed squared distance of centres in units of this fit's
    scale (Kuhn 1955, the Hungarian method), so that an id keeps its meaning across refits.
    Both mixtures must have the same inputs and number of states.
    """
    new = mixture.means * mixture.scale + mixture.center
    old = previous.means * previous.scale + previous.center
    cost = (((old[:, None, :] - new[None, :, :]) / mixture.scale) ** 2).sum(axis=2)
    _, order = linear_sum_assignment(cost)
    return mixture.reorder(order)
