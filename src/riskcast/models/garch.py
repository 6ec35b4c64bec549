"""GARCH(1,1) and GJR-GARCH with Student's t: what a good econometrician would use on returns alone.

Benchmarks only: a forecast filters the returns before it, so a row of features is not enough.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from arch import arch_model
from arch.utility.exceptions import ConvergenceWarning
from scipy.signal import lfilter

from riskcast.core.errors import FitFailed, NotEnoughHistory
from riskcast.models.base import FLOOR, Design, Floats

HORIZON = 5
SCALE = 100.0  # arch's optimiser is tuned to returns in percent
MIN_RETURNS = 500
STATIONARY = 0.9999


@dataclass(frozen=True, slots=True)
class Recursion:
    """Fitted recursion v(t+1) = omega + (alpha + gamma 1[r < 0]) r(t)^2 + beta v(t).

    Attributes
    ----------
    level : float
        v before the first return: the mean squared return of the training rows.
    """

    columns: tuple[str, ...]
    fit_end: date
    omega: float
    alpha: float
    gamma: float
    beta: float
    level: float

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:  # noqa: ARG002
        """Return ln of the expected sum of five squared returns, shape (n,).

        Rows must be consecutive sessions; an unknown return counts as the level. The first rows
        carry the guess of the level, hence a candidate's `lookback`.
        """
        r = x[:, 0]
        squared = np.where(np.isnan(r), self.level, r * r)
        shock = self.omega + (self.alpha + self.gamma * (r < 0)) * squared
        start = np.array([self.beta * self.level])
        following, _ = lfilter([1.0], [1.0, -self.beta], shock, zi=start)
        log_h: Floats = np.log(np.maximum(self._five(following), FLOOR))
        return log_h

    def _five(self, following: Floats) -> Floats:
        """Sum the expected variances of five sessions: they revert to the long-run variance."""
        # E[r^2 1(r<0)] is half of v for a symmetric density (Glosten et al. 1993).
        persistence = min(self.alpha + self.gamma / 2 + self.beta, STATIONARY)
        long_run = self.omega / (1 - persistence)
        weight = (persistence ** np.arange(HORIZON)).sum()
        summed: Floats = HORIZON * long_run + weight * (following - long_run)
        return summed


@dataclass(frozen=True, slots=True)
class Garch:
    """GARCH(1,1) (Bollerslev 1986); with `leverage` GJR (Glosten, Jagannathan, Runkle 1993).

    Maximum likelihood by `arch` on zero-mean log returns.

    Attributes
    ----------
    columns : tuple of str
        The column of one-session log returns, alone.
    density : {"normal", "t"}
    """

    columns: tuple[str, ...]
    leverage: int = 0
    density: Literal["normal", "t"] = "normal"

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Recursion:  # noqa: ARG002
        returns = design.take(self.columns).x[:, 0]
        returns = returns[~np.isnan(returns)]
        if len(returns) < MIN_RETURNS:
            raise NotEnoughHistory(f"{len(returns)} returns for GARCH; {MIN_RETURNS} are needed")
        model = arch_model(
            SCALE * returns, mean="Zero", p=1, o=self.leverage, q=1, dist=self.density
        )
        with warnings.catch_warnings():  # judged below, by the flag
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = model.fit(disp="off", show_warning=False)
        found = fitted.params
        if fitted.convergence_flag not in (0, 8) or not np.isfinite(found).all():
            raise FitFailed(
                f"GARCH on {len(returns)} returns to {design.fit_end}: optimiser flag "
                f"{fitted.convergence_flag}"
            )
        return Recursion(
            self.columns,
            design.fit_end,
            float(found["omega"]) / SCALE**2,
            float(found["alpha[1]"]),
            float(found.get("gamma[1]", 0.0)),
            float(found["beta[1]"]),
            float(np.mean(returns**2)),
        )
