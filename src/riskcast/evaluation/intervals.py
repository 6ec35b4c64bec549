"""Intervals and regime probabilities along time, and how good the intervals were."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.base import Dates, Floats
from riskcast.models.calibration import LEVELS, MIN_RATIOS, Calibration
from riskcast.products import Product

ROLLING = 252  # sessions of the worst rolling coverage
PROBS = ("p_calm", "p_transition", "p_risk_off")


def calibrated(record: pl.DataFrame, features: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Return what the pool would have published beside its forecast.

    Each session's calibration holds the ratios ln(y/h) of earlier forecasts whose outcome was
    known at its close, as in a served model that is recalibrated daily.

    Parameters
    ----------
    record : DataFrame
        Walk-forward record; rows of `product.pool_name` are used.
    features : DataFrame
        Columns date and `product.thresholds`.

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
    low, high = product.thresholds
    thresholds = features.select("date", low=pl.col(low), high=pl.col(high)).fill_nan(None)
    rows = (
        record.filter(pl.col("model") == product.pool_name)
        .join(thresholds, on="date", how="left")
        .sort("date")
    )
    dates, known = (rows[name].to_numpy().astype("datetime64[D]") for name in ("date", "known"))
    log_h = np.log(rows["variance_hat"].to_numpy())
    ratios = np.log(rows["variance"].to_numpy()) - log_h
    bounds = rows.select("low", "high").cast(pl.Float64).fill_null(np.nan).to_numpy()
    start, published = _published(dates, known, ratios, log_h, bounds)
    return (
        rows[start:]
        .select(
            "date", "known", "variance_hat", pl.col("variance").sqrt().alias("rv"), "low", "high"
        )
        .hstack(published)
    )


def _published(
    dates: Dates, known: Dates, ratios: Floats, log_h: Floats, bounds: Floats
) -> tuple[int, pl.DataFrame]:
    order = np.argsort(known, kind="stable")
    known_by = np.searchsorted(known[order], dates, side="right")  # outcomes known at each close
    start = int(np.searchsorted(known_by, MIN_RATIOS))
    if start == len(dates):
        raise NotEnoughHistory(f"{len(dates)} forecasts; intervals need {MIN_RATIOS} known ones")
    values = np.empty((len(dates) - start, 2 * len(LEVELS) + 3))
    for i in range(start, len(dates)):
        calibration = Calibration.of(ratios[order[: known_by[i]]])
        ends = calibration.intervals(log_h[i : i + 1])
        probs = calibration.regime_probs(log_h[i : i + 1], bounds[i : i + 1])
        values[i - start] = np.concatenate([*(ends[level][0] for level in LEVELS), probs[0]])
    names = [f"{end}_{level}" for level in LEVELS for end in ("lo", "hi")]
    return start, pl.DataFrame(values, schema=[*names, *PROBS])


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
