"""Stand-ins for series that no package carries, so that the sample has every column.

They follow the real index and are plausible, not true: every row says ``simulated`` and no model
is given them. All are causal and grow at the end only: the value of a day uses the index up to
that day and draws in date order, so a longer sample repeats a shorter one.

* Cross-section: r_i = drift_i + beta_i r_index + e_i, with independent Gaussian e_i.
* VIX: ln VIX = 0.99 + 0.72 ln v plus an AR(1) gap, where v is the RiskMetrics (1996) volatility
  of the index (decay 0.94) in annual percent: the regression of the real VIX of 1999-2018, whose
  residuals have standard deviation 0.147 and autocorrelation 0.89.
* VIX3M: VIX pulled 30% towards 20 in logs, plus noise.
* Funds rate: a Gaussian mean-reverting rate (Vasicek 1977) held at 0.05 and above; two- and
  ten-year yields add AR(1) spreads.
* Unemployment and PMI: AR(1) around levels that the index's last twelve months move.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import accumulate

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 1999
DECAY = 0.94
PRIOR_VARIANCE = 0.011**2  # of a day, where the smoothing starts
MACRO_FROM = date(1989, 1, 1)  # ten years ahead of the index, for the z-scores
VALUE_DIGITS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a symbol moves with the index: beta, daily noise, annual drift, first price."""

    beta: float
    noise: float
    drift: float = 0.02
    start: float = 50.0
    basis: str = "adjusted"


EXPOSURES = {
    "TLT": Exposure(-0.25, 0.0080, 0.05),
    "HYG": Exposure(0.35, 0.0035, 0.04),
    "GLD": Exposure(0.00, 0.0100, 0.06),
    "DXY": Exposure(-0.05, 0.0045, 0.0, 94.0, "index"),
    "XLE": Exposure(1.05, 0.0110),
    "XLF": Exposure(1.25, 0.0080),
    "XLI": Exposure(1.00, 0.0050),
    "XLK": Exposure(1.20, 0.0070),
    "XLP": Exposure(0.55, 0.0050),
    "XLU": Exposure(0.60, 0.0080),
    "XLV": Exposure(0.75, 0.0060),
    "XLY": Exposure(1.05, 0.0050),
}


def simulate_closes(symbol: str, index: pl.DataFrame) -> pl.DataFrame:
    """Return (date, close) of a symbol of `EXPOSURES` on the index's dates.

    Parameters
    ----------
    index : DataFrame
        Columns date and close of the real index, ascending.
    """
    exposure = EXPOSURES[symbol]
    noise = exposure.noise * _draws(symbol, index.height)
    returns = exposure.drift / 252 + exposure.beta * _returns(index) + noise
    returns[0] = 0.0
    return _series(index["date"], exposure.start * np.exp(np.cumsum(returns)))


def simulate_vix(index: pl.DataFrame) -> pl.DataFrame:
    """Return (date, close) of a VIX on the index's dates, annual percent."""
    squared = _returns(index) ** 2
    variance = _smoothed((1.0 - DECAY) * squared, DECAY, PRIOR_VARIANCE)
    gap = _ar1("VIX", index.height, persistence=0.89, deviation=0.147)
    level = 0.99 + 0.72 * np.log(100.0 * np.sqrt(252.0 * variance)) + gap
    return _series(index["date"], np.clip(np.exp(level), 9.0, 90.0))


def simulate_vix3m(vix: pl.DataFrame) -> pl.DataFrame:
    """Return (date, close) of a three-month VIX for given VIX closes."""
    level = np.log(vix["close"].to_numpy())
    pulled = level + 0.3 * (np.log(20.0) - level) + 0.02 * _draws("VIX3M", vix.height)
    return _series(vix["date"], np.exp(pulled))


def simulate_rates(index: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return (macro_value_date, value) of DFF, DGS2 and DGS10 in percent, one per session."""
    n = index.height
    mean, pull = 2.2, 0.0011
    rate = np.empty(n)
    last = 4.75
    for day, shock in enumerate(0.03 * _draws("DFF", n)):
        rate[day] = last = max(0.05, last + pull * (mean - last) + shock)
    two = np.maximum(0.05, rate + 0.4 + _ar1("DGS2", n, persistence=0.99, deviation=0.3))
    ten = np.maximum(0.5, two + 1.0 + _ar1("DGS10", n, persistence=0.995, deviation=0.6))
    values = {"DFF": rate, "DGS2": two, "DGS10": ten}
    return {name: _values(index["date"], value, 2) for name, value in values.items()}


def simulate_surveys(index: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return (macro_value_date, value) of UNRATE and ISM_MAN_PMI, one per month.

    The last month may be unfinished; its value is not released before the next one begins.
    """
    months = pl.date_range(MACRO_FROM, index["date"].to_list()[-1], interval="1mo", eager=True)
    year = _change_on_year(index, months)
    n = len(months)
    pull = _smoothed(-0.25 * year, 0.97, 0.0)  # a bad year raises unemployment for years
    jobless = 5.5 + pull + _ar1("UNRATE", n, persistence=0.97, deviation=0.5)
    survey = 51.5 + 14.0 * year + _ar1("ISM_MAN_PMI", n, persistence=0.85, deviation=2.5)
    return {
        "UNRATE": _values(months, np.clip(jobless, 2.5, 15.0), 1),
        "ISM_MAN_PMI": _values(months, np.clip(survey, 28.0, 68.0), 1),
    }


def _change_on_year(index: pl.DataFrame, months: pl.Series) -> Floats:
    """Return the index's log return over the year to each month's end, 0 where not known."""
    ends = index.group_by(pl.col("date").dt.truncate("1mo").alias("month")).agg(
        pl.col("close").sort_by("date").last().log()
    )
    by_month = pl.DataFrame({"month": months}).join(ends, on="month", how="left").sort("month")
    change = by_month["close"].diff(12).fill_null(0.0)
    return change.to_numpy().astype(np.float64)


def _returns(index: pl.DataFrame) -> Floats:
    close = index["close"].to_numpy()
    return np.diff(np.log(close), prepend=np.log(close[0]))


def _draws(name: str, n: int) -> Floats:
    """Return the first n standard normals of a name's own stream."""
    return np.random.default_rng([SEED, *name.encode()]).standard_normal(n)


def _ar1(name: str, n: int, *, persistence: float, deviation: float) -> Floats:
    """Return a zero-mean AR(1) path from 0 with the given stationary standard deviation."""
    shocks = deviation * np.sqrt(1.0 - persistence**2) * _draws(name, n)
    return _smoothed(shocks, persistence, 0.0)


def _smoothed(inputs: Floats, persistence: float, start: float) -> Floats:
    """Return y with y(t) = persistence y(t-1) + inputs(t) and y before the first = start."""
    path = accumulate(inputs.tolist(), lambda y, x: persistence * y + x, initial=start)
    return np.array(list(path)[1:], dtype=np.float64)


def _series(dates: pl.Series, values: Floats) -> pl.DataFrame:
    return pl.DataFrame({"date": dates, "close": values.round(VALUE_DIGITS)})


def _values(dates: pl.Series, values: Floats, digits: int) -> pl.DataFrame:
    return pl.DataFrame({"macro_value_date": dates, "value": values.round(digits)})
