"""A Gaussian mixture with named states, and how states keep their ids from fit to fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

Floats = NDArray[np.float64]
RIDGE = 1e-4


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
    ids : tuple of int, length k
        Id of each state, ascending; kept from fit to fit, so numbers may be left out.
    """

    center: Floats
    scale: Floats
    weights: Floats
    means: Floats
    covariances: Floats
    ids: tuple[int, ...]

    def standardise(self, x: Floats) -> Floats:
        """Return rows of shape (n, p) on the scale of the fit."""
        return (x - self.center) / self.scale

    def log_joint(self, x: Floats) -> Floats:
        """Return ln of weight times density of each row in each state, shape (n, k)."""
        z = self.standardise(x)
        return np.column_stack(
            [
                np.log(w) + _log_density(z - m, c)
                for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
            ]
        )

    def probabilities(self, x: Floats) -> Floats:
        """Return the posterior of each state, shape (n, k); each row uses its own inputs only."""
        return np.asarray(softmax(self.log_joint(x), axis=1))

    def distances(self, x: Floats) -> Floats:
        """Return Mahalanobis distances to the state centres, shape (n, k)."""
        z = self.standardise(x)
        squares = [
            _squared_distance(z - m, _factor(c))
            for m, c in zip(self.means, self.covariances, strict=True)
        ]
        return np.sqrt(np.column_stack(squares))

    def reorder(self, order: NDArray[np.intp], ids: tuple[int, ...]) -> Mixture:
        """Return the same mixture with state i being the old state ``order[i]``, named by `ids`."""
        return replace(
            self,
            weights=self.weights[order],
            means=self.means[order],
            covariances=self.covariances[order],
            ids=ids,
        )


def _log_density(deviations: Floats, covariance: Floats) -> Floats:
    """Return the log density of a centred Gaussian at each row, shape (n,)."""
    factor = _factor(covariance)
    log_determinant = 2.0 * float(np.log(np.diag(factor)).sum())
    constant = len(factor) * math.log(2.0 * math.pi) + log_determinant
    density: Floats = -0.5 * (constant + _squared_distance(deviations, factor))
    return density


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
    """Fit a Gaussian mixture by EM on rows of shape (n, p) without missing values.

    A ridge of 1e-4 on the (standardised) covariances keeps a state from collapsing on one crisis.
    """
    return _gaussian(x, k, seed)[0]


def choose_mixture(x: Floats, *, ks: tuple[int, ...], seed: int, overlap: int = 1) -> Mixture:
    """Fit a mixture for each number of states and return the one of smallest BIC (Schwarz 1978).

    Parameters
    ----------
    overlap : int
        Rows that share what they measure, as windows of that many sessions do. They count as one
        observation: n daily rows are no n pieces of evidence, and taken for that they would
        always ask for the largest number of states.
    """
    fits = [_gaussian(x, k, seed) for k in ks]
    effective = len(x) / overlap

    def bic(fit: tuple[Mixture, float]) -> float:
        mixture, likelihood = fit
        k, p = mixture.means.shape
        parameters = k * (p + p * (p + 1) / 2) + k - 1
        return float(parameters * np.log(effective) - 2 * effective * likelihood)

    return min(fits, key=bic)[0]


def _gaussian(x: Floats, k: int, seed: int) -> tuple[Mixture, float]:
    """Return the mixture and its mean log likelihood."""
    # Imported here: it takes seconds, and most runs have no fit due.
    from sklearn.mixture import GaussianMixture

    center, scale = _scale(x)
    z = (x - center) / scale
    model = GaussianMixture(
        k, covariance_type="full", reg_covar=RIDGE, random_state=seed, max_iter=200
    ).fit(z)
    parts = model.weights_, model.means_, model.covariances_
    return Mixture(center, scale, *parts, tuple(range(k))), float(model.score(z))


def fit_kmeans(x: Floats, *, k: int, seed: int) -> Mixture:
    """Cluster rows by mini-batch k-means (Sculley 2010), the clusters as equal round Gaussians.

    An alternative to the mixture: without shapes of their own, states differ by nearness alone.
    """
    from sklearn.cluster import MiniBatchKMeans

    center, scale = _scale(x)
    z = (x - center) / scale
    model = MiniBatchKMeans(k, random_state=seed, n_init=5, batch_size=1024).fit(z)
    spread = ((z - model.cluster_centers_[model.labels_]) ** 2).mean() + RIDGE
    covariances = np.broadcast_to(spread * np.eye(x.shape[1]), (k, x.shape[1], x.shape[1])).copy()
    weights = np.full(k, 1 / k)
    return Mixture(center, scale, weights, model.cluster_centers_, covariances, tuple(range(k)))


def _scale(x: Floats) -> tuple[Floats, Floats]:
    scale = x.std(axis=0)
    return x.mean(axis=0), np.where(scale > 0, scale, 1.0)


def order_by(mixture: Mixture, column: int) -> Mixture:
    """Order states by the mean of one input, smallest first, and number them from 0."""
    order = np.argsort(mixture.means[:, column], kind="stable")
    return mixture.reorder(order, tuple(range(len(order))))


def match(mixture: Mixture, previous: Mixture) -> Mixture:
    """Give each state the id of the nearest state of the previous fit.

    The assignment minimises the summed squared distance of centres in units of this fit's
    scale (Kuhn 1955, the Hungarian method), so that an id keeps its meaning across refits. Where
    there are more states than before, those left over get the smallest free ids in their order;
    where there are fewer, ids fall vacant. Both mixtures must have the same inputs.
    """
    new = mixture.means * mixture.scale + mixture.center
    old = previous.means * previous.scale + previous.center
    cost = (((old[:, None, :] - new[None, :, :]) / mixture.scale) ** 2).sum(axis=2)
    pairs = dict(zip(*(side.tolist() for side in linear_sum_assignment(cost)[::-1]), strict=True))
    named = {state: previous.ids[of] for state, of in pairs.items()}
    free = (i for i in range(len(mixture.means) + len(old)) if i not in named.values())
    for state in range(len(new)):
        if state not in named:
            named[state] = next(free)
    order = sorted(named, key=lambda state: named[state])
    return mixture.reorder(np.array(order), tuple(named[state] for state in order))
