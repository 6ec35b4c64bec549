"""Bounds of the drift statistics, from what they were before, and who is beyond them.

All statistics of all series are one family: a bound is a common share of the way from each one's
usual value to the strangest it has been, and the share is set so that in the past at most BUDGET of
all weeks had any of them beyond its bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskcast.models.base import Floats
from riskcast.monitoring.drift import DAILY, STATISTICS, Windows, measure

BUDGET = 0.007  # of weeks, below the promised 1%
K, N = 3, 5  # a statistic must be beyond its bound on K of the last N sessions
WEEK = 5
CALIBRATE = 504  # judged sessions before the first bound
LEAST = 0.02  # of a statistic's way: one that never moved is no reason to alarm at rounding
COUNTERS = [STATISTICS.index("stuck")]  # count sessions themselves; K of N would count twice
SATURATED = [
    STATISTICS.index("ks"),
    STATISTICS.index("psi"),
]  # persistent series often reach the end
STEP = np.log(1.5)  # by which a run without change must be longer than any before


@dataclass(frozen=True, slots=True)
class Judged:
    """Statistics of sessions beside their bounds.

    Attributes
    ----------
    value, bound : ndarray, shape (n, p, s)
        After K of N; NaN where there is none yet.
    """

    value: Floats
    bound: Floats

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Which series have left their past on which session, shape (n, p)."""
        found: NDArray[np.bool_] = np.any(self.value > self.bound, axis=2)
        return found

    @property
    def share(self) -> Floats:
        """Return each statistic as a share of its bound; NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            out: Floats = np.where(self.bound > 0, self.value / self.bound, np.nan)
        return out


def persistent(measured: Floats) -> Floats:
    """Return the K-th largest of the last N values: beyond a bound if K of N were."""
    padded = np.concatenate([np.full((N - 1, *measured.shape[1:]), -np.inf), measured])
    ranked = np.where(np.isnan(padded), -np.inf, padded)
    views = np.lib.stride_tricks.sliding_window_view(ranked, N, axis=0)
    out: Floats = np.partition(views, N - K, axis=-1)[..., N - K]
    out[..., COUNTERS] = measured[..., COUNTERS]
    return np.where(np.isfinite(out), out, np.nan)


def bounds(past: Floats, budget: float = BUDGET) -> Floats:
    """Return the bound of each statistic of each series from its past, shape (p, s).

    Parameters
    ----------
    past : ndarray, shape (n, p, s)
        `persistent` values of earlier sessions; series without any get an infinite bound.
    """
    known = ~np.isnan(past).all(axis=0)
    filled = np.where(known, past, 0.0)
    usual, most = np.nanmedian(filled, axis=0), np.nanmax(filled, axis=0)
    way = np.maximum(most - usual, LEAST)
    free = [s for s in range(past.shape[2]) if s not in (*COUNTERS, *SATURATED)]
    along = ((filled - usual) / way)[:, :, free]
    family = np.nan_to_num(along, nan=-np.inf).max(axis=(1, 2))
    weeks = family[len(family) % WEEK :].reshape(-1, WEEK).max(axis=1)
    share = np.quantile(weeks, 1 - budget, method="higher")
    bound: Floats = usual + share * way
    bound[:, SATURATED] = most[:, SATURATED]
    bound[:, COUNTERS] = most[:, COUNTERS] + STEP
    return np.where(known, bound, np.inf)


def judge(x: Floats, *, since: int = 0, windows: Windows = DAILY) -> Judged:
    """Judge every session from row `since` on by bounds from before its quarter.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Series along time, ascending; NaN where missing.

    Raises
    ------
    NotEnoughHistory
        If there are too few sessions for a first reference.
    """
    value = persistent(measure(x, windows))
    bound = np.full_like(value, np.nan)
    first = windows.first + CALIBRATE
    for start in range(windows.first, len(x), windows.refresh):
        stop = min(start + windows.refresh, len(x))
        if start >= first and stop > since:
            bound[start:stop] = bounds(value[windows.first : start])
    return Judged(value[since:], bound[since:])
