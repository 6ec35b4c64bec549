"""ARIMAX of log realised volatility, by least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from riskcast.models.base import Design, Floats
from riskcast.models.linear import Linear, ridge_log

WEEK = 5  # sessions between lags: one label, none of it counted twice


@dataclass(frozen=True, slots=True)
class LaggedLinear:
    """A linear model of ln h that reads earlier rows too; benchmark only."""

    columns: tuple[str, ...]
    fit_end: date
    lags: int
    linear: Linear

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:  # noqa: ARG002
        """Return ln h, shape (n,); rows must be consecutive sessions."""
        return self.linear.log_variance(with_lags(x, self.lags))


@dataclass(frozen=True, slots=True)
class Arx:
    """ARIMAX(p, 0, 0) of ln rv on the weekly scale with exogenous columns known at t.

    ln y(t) on the log realised variance of the last `lags` weeks and the exogenous columns:
    conditional maximum likelihood of a Gaussian ARX by least squares (Hamilton 1994, 5.2), then
    Duan's smearing. A direct five-session regression needs no forecast of the exogenous columns,
    which iterated ARIMAX would.

    Attributes
    ----------
    columns : tuple of str
        Log realised variance of the last five sessions first, then exogenous columns.
    """

    columns: tuple[str, ...]
    lags: int

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> LaggedLinear:  # noqa: ARG002
        design = design.take(self.columns)
        names = (*self.columns, *(f"{self.columns[0]}_lag{k}" for k in range(1, self.lags)))
        lagged = replace(design, columns=names, x=with_lags(design.x, self.lags))
        linear = ridge_log(lagged, np.inf, 0.0)
        return LaggedLinear(self.columns, linear.fit_end, self.lags, linear)


def with_lags(x: Floats, lags: int) -> Floats:
    """Return `x` and its first column 1 to `lags` - 1 weeks earlier, NaN before the first row."""
    earlier = np.full((len(x), lags - 1), np.nan)
    for k in range(1, lags):
        earlier[k * WEEK :, k - 1] = x[: -k * WEEK, 0]
    return np.column_stack([x, earlier])
