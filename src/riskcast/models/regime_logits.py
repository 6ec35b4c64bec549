"""Regime probabilities from a pair of ordinal logits, blended with those the forecast implies.

The distribution of past ratios says where the outcome falls around the forecast, whatever the
state of the market; the logits let features say more. Their mean in logs beats either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax

from riskcast.core.errors import ArtifactRefused, FitFailed, NotEnoughHistory
from riskcast.models.artifact import Fields, pack
from riskcast.models.base import Floats
from riskcast.models.standardise import Standardiser

FILE = "regimes.json"
CLIP = 4.0
ALPHA = 100.0  # penalty on z-scores against the summed log loss, fixed on 2004-2014
MIN_ROWS = 500
MIN_CASES = 30  # of every class, before probabilities may be sharpened or softened
TEMPERATURES = (0.5, 2.0)
LEAST = 1e-3  # probability of the middle class where the two logits cross
TOLERANCE = 1e-8
MAX_STEPS = 50

Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RegimeLogits:
    """Fitted logits of P(rv > low) and P(rv > high).

    Attributes
    ----------
    columns : tuple of str, length p
    fit_end : date
        Newest session the fit, temperature included, saw.
    coefficients : ndarray, shape (2, p + 2)
        Intercept, effect of ln h minus ln threshold, effects of z-scores; per threshold.
    temperature : float
        Power the blended probabilities are raised to: above 1 sharpens.
    """

    columns: tuple[str, ...]
    fit_end: date
    standardiser: Standardiser
    coefficients: Floats
    temperature: float = 1.0

    def probs(self, x: Floats, log_h: Floats, thresholds: Floats) -> Floats:
        """Return probabilities of calm, transition and risk_off by the logits alone, (n, 3).

        Parameters
        ----------
        x : ndarray, shape (n, p)
        thresholds : ndarray, shape (n, 2)
            Bounds of rv_5d; rows without are NaN, and so are their probabilities.
        """
        probs = self._unscaled(x, log_h, thresholds)
        return np.asarray(probs / probs.sum(axis=1, keepdims=True))

    def _unscaled(self, x: Floats, log_h: Floats, thresholds: Floats) -> Floats:
        """As `probs`, but where the logits cross, rows sum to more than 1."""
        gaps = _gaps(log_h[:, None], thresholds)
        betas = self.coefficients
        intercept, slope, effects = betas[:, 0], betas[:, 1], betas[:, 2:]
        z = self.standardiser.transform(x)
        # Not a matrix product, whose last bit depends on the number of rows.
        above = expit(intercept + slope * gaps + (z[:, None, :] * effects).sum(axis=2))
        probs = np.empty((len(x), 3))
        probs[:, 0] = 1 - above[:, 0]
        probs[:, 1] = np.maximum(above[:, 0] - above[:, 1], LEAST)
        probs[:, 2] = above[:, 1]
        return probs

    def blend(self, implied: Floats, x: Floats, log_h: Floats, thresholds: Floats) -> Floats:
        """Return the mean in logs with `implied`, shape (n, 3), at this temperature; rows sum to 1.

        Logarithmic pooling (Genest and Zidek 1986) and temperature scaling (Guo et al. 2017).
        """
        own = np.maximum(self._unscaled(x, log_h, thresholds), 1e-12)
        odds = (implied * own) ** (self.temperature / 2)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def at(self, temperature: float) -> RegimeLogits:
        return replace(self, temperature=temperature)

    def dump(self) -> dict[str, bytes]:
        content = {
            "columns": list(self.columns),
            "fit_end": self.fit_end.isoformat(),
            "center": self.standardiser.center.tolist(),
            "scale": self.standardiser.scale.tolist(),
            "low": self.coefficients[0].tolist(),
            "high": self.coefficients[1].tolist(),
            "temperature": self.temperature,
        }
        return {FILE: pack(content)}

    @staticmethod
    def load(files: Mapping[str, bytes]) -> RegimeLogits:
        """Build what `dump` wrote.

        Raises
        ------
        ArtifactRefused
            If the file is missing or malformed.
        """
        fields = Fields(files, FILE)
        columns = fields.texts("columns")
        scale, temperature = fields.numbers("scale", len(columns)), fields.number("temperature")
        if not (scale > 0).all() or not TEMPERATURES[0] <= temperature <= TEMPERATURES[1]:
            raise ArtifactRefused(f"{FILE}: 'scale' or 'temperature' is out of bounds")
        standardiser = Standardiser(fields.numbers("center", len(columns)), scale, CLIP)
        length = len(columns) + 2
        betas = np.array([fields.numbers("low", length), fields.numbers("high", length)])
        return RegimeLogits(columns, fields.session("fit_end"), standardiser, betas, temperature)


def _regressors(z: Floats, log_h: Floats, threshold: Floats) -> Floats:
    return np.column_stack([np.ones(len(z)), _gaps(log_h, threshold), z])


def _gaps(log_h: Floats, threshold: Floats) -> Floats:
    """Return ln h minus ln threshold²."""
    with np.errstate(divide="ignore"):
        gap = log_h - 2 * np.log(threshold)
    # A threshold of 0 is never undercut; a large finite gap says so without an infinite product.
    capped: Floats = np.minimum(gap, 50.0)
    return capped


def classes(rv: Floats, thresholds: Floats) -> Classes:
    """Return 0 calm, 1 transition, 2 risk_off of outcomes, shape (n,), given bounds (n, 2)."""
    found: Classes = (rv >= thresholds[:, 0]).astype(np.int64) + (rv > thresholds[:, 1])
    return found


def fit_logits(
    columns: tuple[str, ...],
    x: Floats,
    log_h: Floats,
    rv: Floats,
    thresholds: Floats,
    *,
    fit_end: date,
) -> RegimeLogits:
    """Fit on past out-of-sample forecasts `log_h` whose outcomes `rv` are known, n rows each.

    Raises
    ------
    NotEnoughHistory
        If there are fewer than MIN_ROWS rows, or fewer than MIN_CASES of a class.
    FitFailed
        If the regression does not converge.
    """
    outcome = classes(rv, thresholds)
    fewest = int(np.bincount(outcome, minlength=3).min())
    if len(x) < MIN_ROWS or fewest < MIN_CASES:
        raise NotEnoughHistory(
            f"{len(x)} outcomes, {fewest} of the rarest regime; regime logits need {MIN_ROWS} "
            f"and {MIN_CASES}"
        )
    standardiser = Standardiser.fit(x, CLIP)
    z = standardiser.transform(x)
    betas = [
        ridge_logit(_regressors(z, log_h, thresholds[:, j]), (outcome > j).astype(np.float64))
        for j in (0, 1)
    ]
    return RegimeLogits(columns, fit_end, standardiser, np.array(betas))


def ridge_logit(x: Floats, above: Floats) -> Floats:
    """Return the coefficients, shape (p,), of the logistic regression of 0/1 on x, shape (n, p).

    Newton's method on summed log loss + ALPHA/2 |b|^2, the first two columns unpenalised; a step
    that does not lower it is halved. Raises FitFailed if MAX_STEPS steps do not suffice.
    """
    penalty = np.r_[0.0, 0.0, np.full(x.shape[1] - 2, ALPHA)]

    def objective(beta: Floats) -> float:
        eta = x @ beta
        return float((np.logaddexp(0.0, eta) - above * eta).sum() + 0.5 * beta @ (penalty * beta))

    beta: Floats = np.zeros(x.shape[1])
    value = objective(beta)
    for _ in range(MAX_STEPS):
        p = expit(x @ beta)
        slope = x.T @ (above - p) - penalty * beta
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        while (tried := objective(beta + step)) > value and np.abs(step).max() > TOLERANCE:
            step = step / 2
        beta, value = np.asarray(beta + step), tried
        if np.abs(step).max() <= TOLERANCE:
            return np.asarray(beta, dtype=np.float64)
    raise FitFailed(f"logistic regression still moved by {np.abs(step).max()}; {len(x)} rows")


def temperature_of(probs: Floats, outcome: Classes) -> float:
    """Return the power of past out-of-sample `probs`, shape (n, 3), that minimises log loss.

    1 while any class has fewer than MIN_CASES cases (Guo et al. 2017, one parameter).
    """
    if np.bincount(outcome, minlength=3).min() < MIN_CASES:
        return 1.0
    logs, row = np.log(probs), np.arange(len(outcome))

    def loss(power: float) -> float:
        return -float(log_softmax(power * logs, axis=1)[row, outcome].mean())

    found = minimize_scalar(loss, bounds=TEMPERATURES, method="bounded")
    return float(found.x)
