"""Has a series left its own past? Every number is measured against what was known before it.

A fixed rule such as PSI > 0.2 fires most weeks on persistent series, because a month of them never
looks like five years. So each statistic of the newest sessions is compared with the values the same
statistic took in the series' own past, and the family of all of them with its own worst weeks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.base import Floats

STATISTICS = (
    "level",
    "change",
    "spread",
    "ks",
    "psi",
    "rank_break",
    "rank_break_month",
    "break",
    "break_month",
    "stuck",
)
BINS = 10
RIDGE = 1e-3  # of the unit diagonal: columns that are functions of each other stay invertible
FLOOR = 1e-3  # of a residual's deviation: exact identities leave rounding errors only
HALF = 0.5  # share of the reference a series must have to be judged


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in sessions.

    Attributes
    ----------
    reference : int
        The past that a session is compared with.
    refresh : int
        Reference and thresholds stand for so many sessions, on a grid from the first row.
    quarter, month, week : int
        What is compared: the newest sessions.
    first : int
        Sessions before the first judgement.
    """

    reference: int = 1260
    refresh: int = 63
    quarter: int = 63
    month: int = 20
    week: int = 5
    first: int = 504


DAILY = Windows()


def measure(x: Floats, windows: Windows = DAILY) -> Floats:
    """Return every statistic of every session, shape (n, p, len(STATISTICS)).

    Larger is stranger. NaN before the first reference and for series the reference lacks.

    - level: absolute mean z of the last month
    - change: absolute mean z of the last week minus that of the month before it
    - spread: absolute log of the last week's mean absolute change over the reference's
    - ks, psi: Kolmogorov-Smirnov distance and population stability index of the last month
    - break: log of the mean absolute residual of the last week (or month) over that of the quarter
      before, each series explained by the others and by all of them a session before; grows when
      one is flipped, lagged or rescaled. rank_break is the same of normal scores
    - stuck: log of one plus the sessions without a change

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Series along time, ascending; NaN where missing.

    Raises
    ------
    NotEnoughHistory
        If there are no more than `windows.first` sessions.
    """
    n, p = x.shape
    if n <= windows.first:
        raise NotEnoughHistory(f"{n} sessions; drift is judged after {windows.first}")
    found = np.full((n, p, len(STATISTICS)), np.nan)
    runs, x = _runs(x), _carried(x)
    before = windows.quarter + windows.month
    for start in range(windows.first, n, windows.refresh):
        stop = min(start + windows.refresh, n)
        reference = x[max(start - windows.reference, 0) : start]
        rows = slice(start - before, stop)
        made = _against(reference, x[rows], runs[rows], windows)
        found[start:stop] = made[before:]
    return found


def _against(reference: Floats, x: Floats, runs: Floats, windows: Windows) -> Floats:
    """Return the statistics of the rows against one reference; the first rows lack their past."""
    usable = (~np.isnan(reference)).mean(axis=0) >= HALF
    out = np.full((*x.shape, len(STATISTICS)), np.nan)
    if not usable.any():
        return out
    own = reference[:, usable]
    center, scale = np.nanmean(own, axis=0), np.nanstd(own, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = np.nan_to_num((x[:, usable] - center) / scale)
    month, week = windows.month, windows.week
    level = _mean(z, month)
    last, earlier = _mean(z, week), np.roll(level, week, axis=0)
    ranks = _ranks(own, x[:, usable])
    changes = np.abs(np.diff(z, axis=0, prepend=z[:1]))
    moved = np.nanmean(np.abs(np.diff(own, axis=0)), axis=0) / scale
    scores = _residuals(_scores(_ranks(own, own)), _scores(ranks))
    levels = _residuals(np.nan_to_num((own - center) / scale), z)
    parts = (
        np.abs(level),
        np.abs(last - earlier),
        np.abs(np.log((_mean(changes, week) + FLOOR) / (moved + FLOOR))),
        _ks(ranks, month),
        _psi(ranks, month),
        _broken(scores, week, windows.quarter),
        _broken(scores, month, windows.quarter),
        _broken(levels, week, windows.quarter),
        _broken(levels, month, windows.quarter),
        np.log1p(runs[:, usable]),
    )
    out[:, usable] = np.stack(parts, axis=-1)
    return out


def _mean(x: Floats, length: int) -> Floats:
    """Return trailing means along the first axis; the first rows, too short, are 0."""
    total = np.cumsum(np.concatenate([np.zeros((1, *x.shape[1:])), x]), axis=0)
    out: Floats = np.zeros_like(x)
    out[length - 1 :] = (total[length:] - total[:-length]) / length
    return out


def _ranks(reference: Floats, x: Floats) -> Floats:
    """Return where each value stands in the reference, in (0, 1); 0.5 for a missing one."""
    out = np.full(x.shape, 0.5)
    for j in range(x.shape[1]):
        past = np.sort(reference[:, j][~np.isnan(reference[:, j])])
        here = ~np.isnan(x[:, j])
        value = x[here, j]
        low, high = (np.searchsorted(past, value, side=side) for side in ("left", "right"))
        out[here, j] = (low + high + 1) / 2 / (len(past) + 1)
    return out


def _scores(ranks: Floats) -> Floats:
    """Return normal scores: series that are monotone in each other become linear."""
    scores: Floats = ndtri(ranks)
    return scores


def _ks(ranks: Floats, length: int) -> Floats:
    """Return the distance of each trailing month's ranks from the uniform distribution."""
    out: Floats = np.zeros_like(ranks)
    if len(ranks) < length:
        return out
    views = np.sort(np.lib.stride_tricks.sliding_window_view(ranks, length, axis=0), axis=-1)
    steps = np.arange(1, length + 1) / length
    above, below = (steps - views).max(axis=-1), (views - steps + 1 / length).max(axis=-1)
    out[length - 1 :] = np.maximum(above, below)
    return out


def _psi(ranks: Floats, length: int) -> Floats:
    """Return the population stability index of each trailing month over BINS equal bins.

    Sum of (q - 1/BINS) ln(BINS q); half a session is added to every bin, so that an empty one does
    not make it infinite.
    """
    bins = np.minimum((ranks * BINS).astype(np.int64), BINS - 1)
    total: Floats = np.zeros_like(ranks)
    for b in range(BINS):
        count = length * _mean((bins == b).astype(np.float64), length)
        share = (count + 0.5) / (length + 0.5 * BINS)
        total += (share - 1 / BINS) * np.log(share * BINS)
    return total


def _residuals(reference: Floats, z: Floats) -> Floats:
    """Return what is left of each series given the others and all of them a session before.

    The row of the precision matrix gives the regression of one column on all others. In units of
    the residual's own deviation over the reference.
    """
    p = z.shape[1]
    past = np.hstack([reference[1:], reference[:-1]])
    precision = np.linalg.inv(past.T @ past / len(past) + RIDGE * np.eye(2 * p))[:, :p]
    weights = precision / np.diag(precision)
    deviation = np.maximum((past @ weights).std(axis=0), FLOOR)
    out: Floats = np.zeros_like(z)
    out[1:] = np.hstack([z[1:], z[:-1]]) @ weights / deviation
    return out


def _broken(residual: Floats, length: int, usual: int) -> Floats:
    """Return the log of the newest mean absolute residual over that of the sessions before."""
    size = np.abs(residual)
    before = np.roll(_mean(size, usual), length, axis=0)
    out: Floats = np.log((_mean(size, length) + FLOOR) / (before + FLOOR))
    return out


def _carried(x: Floats) -> Floats:
    """Return the series with the last value in the place of missing ones: they are no news."""
    row = np.where(np.isnan(x), 0, np.arange(len(x))[:, None])
    return np.take_along_axis(x, np.maximum.accumulate(row, axis=0), axis=0)


def _runs(x: Floats) -> Floats:
    """Return how many values in a row each has stood unchanged; missing ones do not count."""
    out = np.zeros_like(x)
    last = x[0].copy()
    for i in range(1, len(x)):
        gap, same = np.isnan(x[i]), x[i] == last
        out[i] = np.where(gap, out[i - 1], np.where(same, out[i - 1] + 1, 0))
        last = np.where(gap, last, x[i])
    return out
