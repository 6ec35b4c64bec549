"""Standardisation on the training window, and nothing but the training window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskcast.models.base import Floats


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Centre, scale and clip columns; what is unknown sits at the training mean.

    Attributes
    ----------
    center, scale : ndarray, shape (p,)
        Mean and standard deviation of the known values; 0 and 1 where a column had none, scale 1
        where it never varied.
    clip : float
        Largest absolute z-score; infinite for none.
    """

    center: Floats
    scale: Floats
    clip: float

    @classmethod
    def fit(cls, x: Floats, clip: float) -> Standardiser:
        """Measure `x`, shape (n, p), ignoring NaN."""
        known = ~np.isnan(x)
        count = np.maximum(known.sum(axis=0), 1)
        center = np.where(known, x, 0.0).sum(axis=0) / count
        deviation = np.where(known, x - center, 0.0)
        scale = np.sqrt((deviation**2).sum(axis=0) / count)
        return cls(center, np.where(scale > 0, scale, 1.0), clip)

    def transform(self, x: Floats) -> Floats:
        """Return z-scores, shape (n, p), without NaN."""
        z = (x - self.center) / self.scale
        if self.clip < np.inf:
            # The ufuncs themselves: np.clip checks arguments for longer than a row takes.
            z = np.minimum(np.maximum(z, -self.clip), self.clip)
        return np.where(np.isnan(z), 0.0, z)
