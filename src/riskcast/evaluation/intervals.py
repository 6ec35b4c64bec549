"""Intervals and regime probabilities along time, and how good the intervals were."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.design import real_values
from riskcast.evaluation.regime_probs import Past, walk
from riskcast.models.base import Dates, Floats
from riskcast.models.calibration import LEVELS, MIN_RATIOS, Calibration
from riskcast.products import Product

ROLLING = 252  # sessions of the worst rolling coverage
PROBS = ("p_calm", "p_transition", "p_risk_off")


def calibrated(record: pl.DataFrame, features: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Return what the pool would have published beside its forecast.

    Each session's calibration holds the ratios ln(y/h) of earlier forecasts whose outcome was
    known at its close, as in a served model that is recalibrated daily; regime logits are refitted
    on their own grid.

    Parameters
    ----------
    record : DataFrame
        Walk-forward record; rows of `product.pool_name` are used.
    features : DataFrame
        Rows of the features table; of columns only date, `product.thresholds` and, if there are
        any, `product.regime_columns` with ``simulated`` are read.

    Returns
    -------
    DataFrame
        Columns date, known, variance_hat, rv, low, high (thresholds), lo_50 to hi_95, p_calm,
        p_transition, p_risk_off. The first sessions, until MIN_RATIOS outcomes are known, are
        left out.

    Raises
    ------
    NotEnoughHistory
        If no session is left.
    """
    past, ends = past_of(record, features, product)
    probs = walk(past)[0] if product.regime_columns else past.implied
    return as_published(past, ends, probs)


def as_published(past: Past, ends: Floats, probs: Floats) -> pl.DataFrame:
    """Return the frame of `calibrated` for the newest m sessions, which have `ends`, (m, 6)."""
    start = len(past.dates) - len(ends)
    names = [f"{end}_{level}" for level in LEVELS for end in ("lo", "hi")]
    published = pl.DataFrame(
        {
            "date": past.dates,
            "known": past.known,
            "variance_hat": np.exp(past.log_h),
            "rv": past.rv,
            "low": past.thresholds[:, 0],
            "high": past.thresholds[:, 1],
        }
    ).with_columns(pl.col("low", "high").fill_nan(None))
    return published[start:].hstack(
        pl.DataFrame(np.column_stack([ends, probs[start:]]), schema=[*names, *PROBS])
    )


def past_of(record: pl.DataFrame, features: pl.DataFrame, product: Product) -> tuple[Past, Floats]:
    """Return `outcomes` with what the rows of `features` knew."""
    columns, features = product.regime_columns, features.sort("date")
    dates = features["date"].to_numpy().astype("datetime64[D]")
    x = real_values(features, columns) if columns else np.empty((len(features), 0))
    bounds = features.select(product.thresholds).cast(pl.Float64).fill_null(np.nan).to_numpy()
    return outcomes(record, product, dates, x, bounds)


def outcomes(
    record: pl.DataFrame, product: Product, sessions: Dates, x: Floats, bounds: Floats
) -> tuple[Past, Floats]:
    """Return the pool's record beside what was known then, and its intervals, shape (m, 6).

    Intervals are those of the newest m sessions, the ones for which MIN_RATIOS outcomes were
    known.

    Parameters
    ----------
    sessions : ndarray of datetime64[D], shape (n,)
        Ascending; every session of the record is among them.
    x, bounds : ndarray, shape (n, p) and (n, 2)
        `product.regime_columns` and `product.thresholds` of each.

    Raises
    ------
    NotEnoughHistory
        If there is no such session.
    """
    rows = record.filter(pl.col("model") == product.pool_name).sort("date")
    dates, known = (rows[name].to_numpy().astype("datetime64[D]") for name in ("date", "known"))
    index = np.searchsorted(sessions, dates)
    y, log_h = rows["variance"].to_numpy(), np.log(rows["variance_hat"].to_numpy())
    order = np.argsort(known, kind="stable")
    known_by = np.searchsorted(known[order], dates, side="right")  # outcomes known at each close
    start = int(np.searchsorted(known_by, MIN_RATIOS))
    if start == len(dates):
        raise NotEnoughHistory(
            f"{len(dates)} out-of-sample forecasts; intervals need {MIN_RATIOS} known ones"
        )
    ends, implied = (
        np.empty((len(dates) - start, 2 * len(LEVELS))),
        np.full((len(dates), 3), np.nan),
    )
    ratios = (np.log(y) - log_h)[order]
    for i in range(start, len(dates)):
        calibration, one = Calibration.of(ratios[: known_by[i]]), slice(i, i + 1)
        made = calibration.intervals(log_h[one])
        ends[i - start] = np.concatenate([made[level][0] for level in LEVELS])
        implied[i] = calibration.regime_probs(log_h[one], bounds[index[one]])[0]
    columns, then = product.regime_columns, (x[index], log_h, np.sqrt(y), bounds[index], implied)
    return Past(columns, dates, known, *then), ends


def coverage(published: pl.DataFrame, level: int) -> float:
    """Return the share of outcomes inside the interval of `level` percent."""
    return float(_inside(published, level).mean())


def worst_coverage(published: pl.DataFrame, level: int) -> float:
    """Return the lowest coverage over ROLLING consecutive sessions; NaN if there are fewer."""
    inside = np.r_[0, np.cumsum(_inside(published, level))]
    if len(inside) <= ROLLING:
        return float("nan")
    return float((inside[ROLLING:] - inside[:-ROLLING]).min() / ROLLING)


def interval_score(published: pl.DataFrame, level: int) -> float:
    """Return the mean interval score on the scale of rv_5d (Gneiting and Raftery 2007).

    Width plus 2/alpha times what the outcome lies outside; smaller is better.
    """
    rv, low, high = (published[name].to_numpy() for name in ("rv", f"lo_{level}", f"hi_{level}"))
    outside = np.maximum(low - rv, 0) + np.maximum(rv - high, 0)
    return float(np.mean(high - low + 2 / (1 - level / 100) * outside))


def summary(published: pl.DataFrame) -> dict[str, float]:
    """Return coverage, worst rolling coverage and interval score (basis points) per level."""
    return {
        f"{name}_{level}": value
        for level in LEVELS
        for name, value in (
            ("coverage", coverage(published, level)),
            ("worst_coverage", worst_coverage(published, level)),
            ("score_bp", 1e4 * interval_score(published, level)),
        )
    }


def _inside(published: pl.DataFrame, level: int) -> NDArray[np.bool_]:
    return published["rv"].is_between(published[f"lo_{level}"], published[f"hi_{level}"]).to_numpy()
