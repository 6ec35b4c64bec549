"""How far outcomes fell from forecasts, out of sample: intervals and regime probabilities.

Everything here is the empirical distribution of ln(y/h) over past sessions whose forecast was
made before the outcome and whose outcome is known. Its width drifts over decades, so only the
newest MEMORY sessions count: with all of history 95% intervals came to cover 92%.
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """Sorted log ratios ln(y/h), shape (m,).

    Raises
    ------
    NotEnoughHistory
        If there are fewer than MIN_RATIOS.
    """

    ratios: Floats
    _ends: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.ratios) < MIN_RATIOS:
            raise NotEnoughHistory(
                f"{len(self.ratios)} out-of-sample forecasts with a known outcome; intervals "
                f"need {MIN_RATIOS}"
            )
        object.__setattr__(self, "_ends", np.array([_ends(self.ratios, x) for x in LEVELS]))

    @classmethod
    def of(cls, ratios: Floats) -> Calibration:
        """Sort the newest MEMORY of `ratios`, given in order of time, without NaN."""
        return cls(np.sort(ratios[~np.isnan(ratios)][-MEMORY:]))

    def intervals(self, log_h: Floats) -> Mapping[int, Floats]:
        """Return, per level, lower and upper end of rv_5d, shape (n, 2).

        Ends are order statistics with the finite-sample correction of split conformal prediction
        (Lei et al. 2018), so coverage is at least the level if ratios are exchangeable.
        """
        ends = np.sqrt(np.exp(log_h[:, None, None] + self._ends))
        return {level: ends[:, i] for i, level in enumerate(LEVELS)}

    def regime_probs(self, log_h: Floats, thresholds: Floats) -> Floats:
        """Return probabilities of calm, transition and risk_off, shape (n, 3).

        `thresholds`, shape (n, 2), are rv_5d below which a week is calm and above which it is
        risk_off. Each probability is the share of past ratios that would have put the outcome
        there; rows sum to 1, and a row without thresholds or forecast is NaN.
        """
        with np.errstate(divide="ignore"):  # a threshold of 0 is never undercut
            cuts = 2 * np.log(thresholds) - log_h[:, None]
        below = np.searchsorted(self.ratios, cuts[:, 0], side="left")
        above = len(self.ratios) - np.searchsorted(self.ratios, cuts[:, 1], side="right")
        counts = np.stack([below, len(self.ratios) - below - above, above], axis=1)
        probs: Floats = (counts + PSEUDO_COUNT) / (len(self.ratios) + 3 * PSEUDO_COUNT)
        probs[np.isnan(cuts).any(axis=1)] = np.nan
        return probs


def _ends(ratios: Floats, level: int) -> Floats:
    """Return the two ratios between which `level` percent of outcomes fall."""
    m, tail = len(ratios), (1 - level / 100) / 2
    low = max(floor((m + 1) * tail), 1) - 1
    high = min(ceil((m + 1) * (1 - tail)), m) - 1
    return ratios[[low, high]]
