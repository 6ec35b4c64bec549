"""Intervals and regime probabilities along time, and how good the intervals were."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskcast.core.errors import LookAhead, NotEnoughHistory
from riskcast.evaluation.design import real_values
from riskcast.evaluation.regime_probs import Past, walk
from riskcast.models.base import Dates, Floats
from riskcast.models.calibration import LEVELS, MIN_RATIOS, STILL, Calibration
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
        Columns date, known, variance_hat, rv, low, high (thresholds), crps, lo_50 to hi_95,
        p_calm, p_transition, p_risk_off. The first sessions, until MIN_RATIOS outcomes are known,
        are left out.

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
            "crps": past.crps,
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
    rv, n = np.sqrt(y), len(dates)
    ends, implied = np.full((n, 2 * len(LEVELS)), np.nan), np.full((n, 3), np.nan)
    crps = np.full(n, np.nan)
    for i, calibration in enumerate(calibrations(dates, known, np.log(y) - log_h, dates)):
        if calibration is None:
            continue
        one = slice(i, i + 1)
        made = calibration.intervals(log_h[one])
        ends[i] = np.concatenate([made[level][0] for level in LEVELS])
        implied[i] = calibration.regime_probs(log_h[one], bounds[index[one]])[0]
        crps[i] = calibration.crps(log_h[i], rv[i])
    made_from = np.flatnonzero(np.isfinite(crps))
    if not len(made_from):
        raise NotEnoughHistory(f"{n} out-of-sample forecasts; intervals need {MIN_RATIOS} known")
    then = (x[index], log_h, rv, bounds[index], implied, crps)
    return Past(product.regime_columns, dates, known, *then), ends[made_from[0] :]


def calibrations(
    dates: Dates, known: Dates, ratios: Floats, sessions: Dates
) -> Iterator[Calibration | None]:
    """Yield the calibration at the close of each of `sessions`, None until MIN_RATIOS are known.

    Parameters
    ----------
    dates, known : ndarray of datetime64[D], shape (n,)
        Session of each forecast, ascending, and the one at whose close its outcome was known.
    ratios : ndarray, shape (n,)
        ln(y/h) of each.
    sessions : ndarray of datetime64[D]
        Ascending; begins with `dates`, or moves made by their outcomes would be missing.

    Raises
    ------
    LookAhead
        If an outcome claims to be known when its forecast was made.
    """
    if (known <= dates).any():
        raise LookAhead("an outcome claims to be known when its forecast was made")
    order = np.argsort(known, kind="stable")
    known_by = np.searchsorted(known[order], sessions, side="right")
    said: list[Calibration | None] = []
    shifts, done = STILL, 0
    for count in known_by:
        for j in order[done:count]:
            earlier = said[j]
            if earlier is not None:
                shifts = shifts + earlier.moves(float(ratios[j]))
        done = max(done, int(count))
        enough = count >= MIN_RATIOS
        said.append(Calibration.of(ratios[order[:count]], shifts) if enough else None)
        yield said[-1]


def served_calibration(
    record: pl.DataFrame, product: Product, session: np.datetime64
) -> Calibration:
    """Return the calibration of the pool at the close of `session`, after all of the record.

    Raises
    ------
    NotEnoughHistory
        If fewer than MIN_RATIOS outcomes were known.
    """
    rows = record.filter(pl.col("model") == product.pool_name).sort("date")
    dates, known = (rows[name].to_numpy().astype("datetime64[D]") for name in ("date", "known"))
    ratios = np.log((rows["variance"] / rows["variance_hat"]).to_numpy())
    *_, newest = calibrations(dates, known, ratios, np.append(dates, session))
    return Calibration.of(ratios[known <= session]) if newest is None else newest


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
    """Return coverage, worst rolling coverage and interval score per level, and the mean CRPS.

    Scores are in basis points of rv_5d; there is no CRPS where only ends are known.

    Raises
    ------
    NotEnoughHistory
        If there is no session.
    """
    if published.is_empty():
        raise NotEnoughHistory("no session has intervals and an outcome; nothing to score")
    found = {
        f"{name}_{level}": value
        for level in LEVELS
        for name, value in (
            ("coverage", coverage(published, level)),
            ("worst_coverage", worst_coverage(published, level)),
            ("score_bp", 1e4 * interval_score(published, level)),
        )
    }
    if "crps" in published.columns:
        found["crps_bp"] = 1e4 * float(published["crps"].to_numpy().mean())
    return found


def _inside(published: pl.DataFrame, level: int) -> NDArray[np.bool_]:
    return published["rv"].is_between(published[f"lo_{level}"], published[f"hi_{level}"]).to_numpy()
