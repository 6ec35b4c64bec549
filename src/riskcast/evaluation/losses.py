"""Losses of variance forecasts. All are per row; means are the caller's."""

from __future__ import annotations

import numpy as np
import polars as pl

from riskcast.models.base import Floats


def qlike(variance: Floats, variance_hat: Floats) -> Floats:
    """Return y/h - ln(y/h) - 1 of each forecast, shape (n,); 0 where it equals the outcome.

    Robust to noise in the proxy y (Patton 2011, J. Econometrics 160).

    Raises
    ------
    ValueError
        If a value is not strictly positive: QLIKE has no meaning there.
    """
    if not ((variance > 0) & (variance_hat > 0)).all():
        raise ValueError("QLIKE needs strictly positive variances and forecasts")
    ratio: Floats = variance / variance_hat
    loss: Floats = ratio - np.log(ratio) - 1
    return loss


def squared_error(variance: Floats, variance_hat: Floats) -> Floats:
    """Return the squared difference of the square roots: on the scale of rv_5d."""
    error: Floats = np.sqrt(variance) - np.sqrt(variance_hat)
    return error * error


def absolute_error(variance: Floats, variance_hat: Floats) -> Floats:
    """Return the absolute difference of the square roots: on the scale of rv_5d."""
    error: Floats = np.abs(np.sqrt(variance) - np.sqrt(variance_hat))
    return error


def with_losses(record: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a walk-forward record plus qlike and sq_error."""
    y, h = record["variance"].to_numpy(), record["variance_hat"].to_numpy()
    return record.with_columns(
        pl.Series("qlike", qlike(y, h), dtype=pl.Float64),
        pl.Series("sq_error", squared_error(y, h), dtype=pl.Float64),
    )
