"""Does a forecast see the future? Scores miss most leaks, so the future itself is changed.

The check knows only when rows and labels become known, never how a model works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from riskcast.core.errors import LookAhead
from riskcast.models.base import Design, Floats

Forecast = Callable[[Design], Floats]


def perturb_after(design: Design, row: int, *, horizon: int, seed: int) -> Design:
    """Return the design with everything that happened after the close of `row` changed.

    That is every feature of later rows, and every label whose `horizon` sessions do not all lie
    at or before `row`, whatever the design itself claims about when labels became known.
    """
    rng = np.random.default_rng(seed)
    x, y = design.x.copy(), design.y.copy()
    x[row + 1 :] = x[row + 1 :] * 3 + rng.normal(size=x[row + 1 :].shape)
    late = slice(max(row + 1 - horizon, 0), None)
    y[late] = y[late] * np.exp(rng.normal(scale=3, size=y[late].shape))
    ranges = None if design.ranges is None else design.ranges.copy()
    if ranges is not None:
        ranges[late] = ranges[late] * np.exp(rng.normal(scale=3, size=ranges[late].shape))
    return replace(design, x=x, y=y, ranges=ranges)


def check_forecast_is_blind_to_the_future(
    forecast: Forecast, design: Design, row: int, *, horizon: int, seed: int = 0
) -> None:
    """Require that forecasts of rows up to `row` do not move when the future does.

    Parameters
    ----------
    forecast : callable
        From a design to one number per row, NaN where it makes none; deterministic.

    Raises
    ------
    LookAhead
        Naming the first session whose forecast moved.
    """
    upto = slice(0, row + 1)
    now = forecast(design)[upto]
    then = forecast(perturb_after(design, row, horizon=horizon, seed=seed))[upto]
    moved = np.flatnonzero(~((now == then) | (np.isnan(now) & np.isnan(then))))
    if len(moved):
        i = moved[0]
        raise LookAhead(
            f"the forecast of {design.dates[i]} moved from {now[i]} to {then[i]} when data after "
            f"{design.dates[row]} changed"
        )
