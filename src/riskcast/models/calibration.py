"""How far outcomes fell from forecasts, out of sample: intervals and regime probabilities.

Everything here is the empirical distribution of ln(y/h) over past sessions whose forecast was
made before the outcome and whose outcome is known. Its width drifts over decades, so only the
newest MEMORY sessions count: with all of history 95% intervals came to cover 92%.

Intervals are conformalised quantiles: order statistics of the ratios, each then moved by how
often outcomes came to fall below it. Even 1000 sessions remember quieter times; without the moves
intervals covered too little wherever times grew wilder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.base import Floats

LEVELS = (50, 80, 95)  # percent
MEMORY = 1000
MIN_RATIOS = 100  # below this a 95% interval rests on the two most extreme outcomes
PSEUDO_COUNT = 0.5  # per class, so that no probability is 0 or 1 (Jeffreys)
# Move of an end in ln(y/h) by one outcome, times what it missed its tail by. The smallest of
# 0.002, 0.005, 0.01, 0.02 and 0.04 that brought coverage within a point of 80% and half a point
# of 95% on 2007-2014; the larger, the wider the intervals.
STEP = 0.01
TAILS = np.array([[(1 - level / 100) / 2, (1 + level / 100) / 2] for level in LEVELS])
STILL = np.zeros(TAILS.shape)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What past outcomes say about the next one.

    Attributes
    ----------
    ratios : ndarray, shape (m,)
        Log ratios ln(y/h), sorted.
    shifts : ndarray, shape (levels, 2)
        Move of the lower and upper end of each level, in units of ln(y/h).

    Raises
    ------
    NotEnoughHistory
        If there are fewer than MIN_RATIOS.
    """

    ratios: Floats
    shifts: Floats = field(default_factory=lambda: STILL)
    _ends: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.ratios) < MIN_RATIOS:
            raise NotEnoughHistory(
                f"{len(self.ratios)} out-of-sample forecasts with a known outcome; intervals "
                f"need {MIN_RATIOS}"
            )
        ends = np.array([_ends(self.ratios, x) for x in LEVELS]) + self.shifts
        # Ends move on their own and may cross; sorted they are nested and no worse
        # (Chernozhukov, Fernandez-Val and Galichon 2010).
        outward = np.sort(np.r_[ends[::-1, 0], ends[:, 1]])
        nested = np.column_stack([outward[: len(LEVELS)][::-1], outward[len(LEVELS) :]])
        object.__setattr__(self, "_ends", nested)

    @classmethod
    def of(cls, ratios: Floats, shifts: Floats = STILL) -> Calibration:
        """Sort the newest MEMORY of `ratios`, given in order of time, without NaN."""
        return cls(np.sort(ratios[~np.isnan(ratios)][-MEMORY:]), shifts)

    def moves(self, ratio: float) -> Floats:
        """Return how an outcome moves the ends that were said before it, shape (levels, 2).

        Quantile tracking (Angelopoulos, Candes and Tibshirani 2023): an end rises by STEP times
        its tail when the outcome fell above it and falls by the rest of STEP when below, so in
        the long run the share below equals the tail, whatever the errors do.
        """
        return np.asarray(STEP * (TAILS - (ratio < self._ends)))

    def intervals(self, log_h: Floats) -> Mapping[int, Floats]:
        """Return, per level, lower and upper end of rv_5d, shape (n, 2).

        Ends are order statistics with the finite-sample correction of split conformal prediction
        (Lei et al. 2018), plus `shifts`.
        """
        ends = np.sqrt(np.exp(log_h[:, None, None] + self._ends))
        return {level: ends[:, i] for i, level in enumerate(LEVELS)}

    def crps(self, log_h: float, rv: float) -> float:
        """Return the continuous ranked probability score of the outcome `rv`, on its scale.

        Of the distribution that the ratios give, as of an ensemble (Gneiting and Raftery 2007).
        """
        members = np.sqrt(np.exp(log_h + self.ratios))
        m = len(members)
        spread = (2 * np.arange(1, m + 1) - m - 1) @ members / m**2
        return float(np.abs(members - rv).mean() - spread)

    def regime_probs(self, log_h: Floats, thresholds: Floats) -> Floats:
        """Return probabilities of calm, transition and risk_off, shape (n, 3).

        `thresholds`, shape (n, 2), are rv_5d below which a week is calm and above which it is
        risk_off. Each probability is the share of past ratios that would have put the outcome
        there; rows sum to 1, and a row without thresholds or forecast is NaN.
        """
        with np.errstate(divide="ignore"):  # a threshold of 0 is never undercut
            cuts = 2 * np.log(thresholds) - log_h[:, None]
        n, counts = len(self.ratios), np.empty((len(cuts), 3))
        counts[:, 0] = self.ratios.searchsorted(cuts[:, 0], side="left")
        counts[:, 2] = n - self.ratios.searchsorted(cuts[:, 1], side="right")
        counts[:, 1] = n - counts[:, 0] - counts[:, 2]
        probs: Floats = (counts + PSEUDO_COUNT) / (n + 3 * PSEUDO_COUNT)
        probs[np.isnan(cuts).any(axis=1)] = np.nan
        return probs


def _ends(ratios: Floats, level: int) -> Floats:
    """Return the two ratios between which `level` percent of outcomes fall."""
    m, tail = len(ratios), (1 - level / 100) / 2
    low = max(floor((m + 1) * tail), 1) - 1
    high = min(ceil((m + 1) * (1 - tail)), m) - 1
    return ratios[[low, high]]
