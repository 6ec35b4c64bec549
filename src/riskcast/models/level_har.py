"""HAR on levels, kept positive by its signs: Corsi's regression without a logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.optimize import nnls

from riskcast.core.errors import FitFailed
from riskcast.models.base import FLOOR, Design, Floats


@dataclass(frozen=True, slots=True)
class Levels:
    """Fitted h = base + beta'exp(x), nothing in it negative."""

    columns: tuple[str, ...]
    fit_end: date
    beta: Floats
    base: float

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:  # noqa: ARG002
        log_h: Floats = np.log(np.maximum(self.base + np.exp(x) @ self.beta, FLOOR))
        return log_h


@dataclass(frozen=True, slots=True)
class LevelHar:
    """HAR (Corsi 2009) of the variance on mean variances of a day, a week and a month.

    Weighted least squares, weights 1 / (monthly mean)^2 because errors grow with the level
    (Patton and Sheppard 2015), under non-negative coefficients: plain OLS on levels forecasts
    variances near zero, and QLIKE does not forgive them.

    Attributes
    ----------
    columns : tuple of str
        Logs of mean daily variances, the longest window last.
    """

    columns: tuple[str, ...]

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Levels:  # noqa: ARG002
        design = design.take(self.columns)
        whole = ~np.isnan(design.x).any(axis=1)
        levels = np.exp(design.x[whole])
        if not len(levels):
            raise FitFailed(f"no row with all of {self.columns}")
        weight = 1 / np.maximum(levels[:, -1], FLOOR)
        # The intercept in units of the mean level: nnls is not scale-free.
        unit = float(levels.mean())
        regressors = np.column_stack([np.full(len(levels), unit), levels]) * weight[:, None]
        found, _ = nnls(regressors, design.y[whole] * weight)
        return Levels(self.columns, design.fit_end, found[1:], float(found[0] * unit))
