"""Gamma regression with log link: minimises QLIKE itself, so it needs no retransformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskcast.core.errors import FitFailed
from riskcast.models.base import Design, Floats
from riskcast.models.linear import CLIP, Linear, load, standardised, training_target

TOLERANCE = 1e-10  # on the largest coefficient step, in units of ln h
MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class GammaGlm:
    """Gamma GLM, log link, ridge penalty.

    Minimises mean(y/h - ln(y/h) - 1) + alpha/2 |beta|^2 with ln h = base + beta'z: half the mean
    gamma deviance, which is QLIKE (Patton 2011), plus a penalty on standardised coefficients.

    Attributes
    ----------
    alpha : float
        Penalty; as `alpha` of scikit-learn's GammaRegressor. 0 for none.
    clip : float
        Largest absolute z-score; infinite for none.
    range_weight : float
        Share of range-based variance in what the slopes aim at; the level aims at y.
    """

    columns: tuple[str, ...]
    alpha: float
    clip: float = CLIP
    range_weight: float = 0.0

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Linear:  # noqa: ARG002
        design = design.take(self.columns)
        standardiser, z = standardised(design, self.clip)
        base, beta = newton(z, training_target(design, self.range_weight), self.alpha)
        # The base that minimises QLIKE for these slopes; of y alone it is `base` itself.
        base = float(np.log(np.mean(design.y * np.exp(-z @ beta))))
        return Linear(design.columns, design.fit_end, standardiser, beta, base)

    load = staticmethod(load)


def newton(z: Floats, y: Floats, alpha: float) -> tuple[float, Floats]:
    """Return base and beta, shape (p,), of the penalised gamma regression of y, shape (n,), on z.

    Newton's method on a convex objective; a step that does not lower it is halved. Fisher scoring,
    whose weights are all 1 here (McCullagh and Nelder 1989, section 8.3), has the same solution
    but creeps when a few outcomes are far out of line.

    Raises
    ------
    FitFailed
        If the data are not finite or MAX_STEPS steps do not reach TOLERANCE.
    """
    n, p = z.shape
    design = np.column_stack([np.ones(n), z])
    penalty = np.r_[0.0, np.full(p, alpha)]

    def objective(theta: Floats) -> float:
        eta = design @ theta
        with np.errstate(over="ignore"):  # a step too far is infinitely bad, and halved
            return float(np.mean(y * np.exp(-eta) + eta) + 0.5 * theta @ (penalty * theta))

    theta = np.r_[np.log(y.mean()), np.zeros(p)]
    value = objective(theta)
    if not np.isfinite(value):
        raise FitFailed(f"gamma regression on {n} rows: an outcome or a column is not finite")
    for _ in range(MAX_STEPS):
        ratio = y * np.exp(-design @ theta)
        slope = design.T @ (ratio - 1) / n - penalty * theta
        curvature = (design * ratio[:, None]).T @ design / n + np.diag(penalty)
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        while (tried := objective(theta + step)) > value and np.abs(step).max() > TOLERANCE:
            step = step / 2
        theta, value = theta + step, tried
        if np.abs(step).max() <= TOLERANCE:
            return float(theta[0]), theta[1:]
    raise FitFailed(f"gamma regression still moved by {np.abs(step).max()} after {MAX_STEPS} steps")
