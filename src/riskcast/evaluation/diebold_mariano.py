"""Is one forecast better than another, or only luckier?"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.base import Floats

HORIZON = 5
LAG = 10  # beyond the 4 that overlapping 5-session outcomes alone would need


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of a Diebold-Mariano test.

    Attributes
    ----------
    difference : float
        Mean loss of the candidate minus that of the benchmark; negative favours the candidate.
    statistic : float
        Of Student's t with n - 1 degrees of freedom; the same sign.
    p : float
        Two-sided.
    """

    difference: float
    statistic: float
    p: float

    def better(self, alpha: float) -> bool:
        return self.statistic < 0 and self.p < alpha

    def worse(self, alpha: float) -> bool:
        return self.statistic > 0 and self.p < alpha


def diebold_mariano(
    candidate: Floats, benchmark: Floats, *, horizon: int = HORIZON, lag: int = LAG
) -> Comparison:
    """Compare the losses of two forecasts of the same outcomes, in time order.

    Diebold and Mariano (1995) with the Newey-West (1987) variance and the small-sample correction
    of Harvey, Leybourne and Newbold (1997).

    Parameters
    ----------
    candidate, benchmark : ndarray, shape (n,)
    horizon : int
        Sessions that each forecast covers.
    lag : int
        Largest autocovariance used, Bartlett weights; at least horizon - 1.

    Raises
    ------
    NotEnoughHistory
        If n is not larger than twice the lag.
    ValueError
        If shapes differ, a loss is not finite or the lag is too short.
    """
    d = candidate - benchmark
    n = len(d)
    if candidate.shape != benchmark.shape or not np.isfinite(d).all() or lag < horizon - 1:
        raise ValueError("losses must be finite and of one shape, lag at least horizon - 1")
    if n <= 2 * lag:
        raise NotEnoughHistory(f"{n} losses; a test with lag {lag} needs more than {2 * lag}")
    mean = float(d.mean())
    centred = d - mean
    gamma = [float(centred[k:] @ centred[: n - k]) / n for k in range(lag + 1)]
    variance = gamma[0] + 2 * sum((1 - k / (lag + 1)) * gamma[k] for k in range(1, lag + 1))
    if variance <= 0:  # Bartlett weights keep it above 0 unless the losses differ by a constant
        return Comparison(mean, 0.0, 1.0)
    correction = sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = correction * mean / sqrt(variance / n)
    return Comparison(mean, statistic, float(2 * stats.t.sf(abs(statistic), n - 1)))
