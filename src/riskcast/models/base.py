"""What a forecaster is: fit on rows whose label is known, forecast a log variance.

All models of the daily product forecast ln h, where h is the variance of the next five sessions
(sum of five squared log returns). On that scale contributions are additive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from riskcast.core.errors import NotEnoughHistory

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

FLOOR = 1e-8  # realised variance below this is noise of the tick size
H_BOUNDS = (2e-6, 0.2)  # forecasts are clipped to these 5-session variances


@dataclass(frozen=True, slots=True)
class Design:
    """Rows of features with, where known, what followed.

    Attributes
    ----------
    columns : tuple of str, length p
        Names of the columns of `x`.
    x : ndarray, shape (n, p)
        Feature values known at each session; NaN where unknown.
    y : ndarray, shape (n,)
        Realised variance of the five sessions after, floored at FLOOR; NaN where not yet known.
    dates : ndarray of datetime64[D], shape (n,)
        Session of each row, ascending.
    known : ndarray of datetime64[D], shape (n,)
        Session at whose close `y` became known (five sessions later); NaT where not yet.
    ranges : ndarray, shape (n,), optional
        The same variance measured from highs, lows and opens, known when `y` is; NaN where it is
        not measured. Without it `y` stands for it.
    """

    columns: tuple[str, ...]
    x: Floats
    y: Floats
    dates: Dates
    known: Dates
    ranges: Floats | None = None

    def take(self, columns: tuple[str, ...]) -> Design:
        """The same rows with only these columns, in this order."""
        index = [self.columns.index(name) for name in columns]
        return replace(self, columns=columns, x=self.x[:, index])

    def rows(self, mask: NDArray[np.bool_] | slice) -> Design:
        return Design(
            self.columns,
            self.x[mask],
            self.y[mask],
            self.dates[mask],
            self.known[mask],
            None if self.ranges is None else self.ranges[mask],
        )

    def known_by(self, session: np.datetime64) -> Design:
        """Rows whose label was known at the close of `session`: what a fit made then may see."""
        return self.rows(self.known <= session)

    @property
    def fit_end(self) -> date:
        """Session at which the newest label of these rows became known.

        Raises
        ------
        NotEnoughHistory
            If no row has a known label.
        """
        known = self.known[~np.isnat(self.known)]
        if not len(known):
            raise NotEnoughHistory("no row has a known label; nothing can be fitted on them")
        newest: date = known.max().astype("datetime64[D]").item()
        return newest


class Fitted(Protocol):
    """A fitted model that forecasts.

    Attributes
    ----------
    fit_end : date
        Last session whose data the fit saw (labels included); only rows from then on may be
        forecast with it.
    """

    columns: tuple[str, ...]
    fit_end: date

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:
        """Return ln h, shape (n,), for features of shape (n, p); `offset` only for hybrids."""
        ...


@runtime_checkable
class Servable(Fitted, Protocol):
    """A fitted model that answers from one row, says why, and is state and columns only."""

    def contributions(self, x: Floats, offset: Floats | None = None) -> Floats:
        """Return shape (n, p + 1): effect of each column on ln h, then the base.

        Each row sums to `log_variance` to 1e-6 (before clipping).
        """
        ...

    def dump(self) -> dict[str, bytes]:
        """Return data-only files (JSON, LightGBM text), name to content.

        The engine's static method `load` builds the same model from them.
        """
        ...


class Forecaster(Protocol):
    """Something that can be fitted."""

    columns: tuple[str, ...]

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Fitted:
        """Fit on rows with a known label.

        Raises
        ------
        NotEnoughHistory
            If fewer rows are given than the model needs.
        """
        ...


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of n rows with their uncertainty.

    Attributes
    ----------
    variance : ndarray, shape (n,)
        5-session variance h; `rv_5d_hat` is its square root.
    intervals : mapping of level in percent to ndarray, shape (n, 2)
        Lower and upper end of rv_5d.
    regime_probs : ndarray, shape (n, 3)
        Probabilities of calm, transition, risk_off; rows sum to 1.
    contributions : ndarray, shape (n, p + 1)
        Effect of each column on ln h, then the base.
    """

    variance: Floats
    intervals: Mapping[int, Floats]
    regime_probs: Floats
    contributions: Floats
