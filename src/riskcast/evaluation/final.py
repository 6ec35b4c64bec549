"""The fit that serves: every member of the pool on all that is known, with the pool's record."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from riskcast.core.errors import DeclarationError
from riskcast.evaluation.intervals import outcomes, served_calibration
from riskcast.evaluation.pools import served_weights
from riskcast.evaluation.regime_probs import served_logits
from riskcast.evaluation.walk_forward import (
    SEED,
    Path,
    candidate_path,
    fit_candidate,
    schedule,
)
from riskcast.models.base import Design, Servable
from riskcast.models.pool import Member
from riskcast.models.regime_logits import RegimeLogits
from riskcast.models.served import ServedModel
from riskcast.products import Product


def fit_served(
    product: Product, design: Design, record: pl.DataFrame, *, seed: int = SEED
) -> ServedModel:
    """Fit the pool of an effective product at the newest known label.

    Parameters
    ----------
    design : Design
        As for the walk-forward; its last row is the newest session.
    record : DataFrame
        Walk-forward record with rows of the pool; only outcomes known by then are used.

    Raises
    ------
    NotEnoughHistory
        If a member or the calibration lacks rows.
    DeclarationError
        If a member answers along time only.
    """
    fit_end = design.fit_end
    session = np.datetime64(fit_end)
    record = record.filter(pl.col("known") <= fit_end)
    calibration = served_calibration(record, product, session)
    weights = served_weights(product, record)
    paths = offset_paths(product, design, seed=seed)
    members = fit_members(product, design, session, weights, paths, seed=seed)
    columns = tuple(dict.fromkeys(name for m in members for name in m.fitted.columns))
    return ServedModel(
        product.name,
        product.recipe,
        columns,
        product.thresholds,
        members,
        calibration,
        fit_end,
        _logits(product, design, record, session),
    )


def fit_members(
    product: Product,
    design: Design,
    session: np.datetime64,
    weights: Mapping[str, float],
    paths: Mapping[str, Path],
    *,
    seed: int = SEED,
) -> tuple[Member, ...]:
    """Fit the pool, and what its hybrids start from, as at the close of `session`.

    Parameters
    ----------
    weights : mapping of member to share
    paths : mapping of offset to its walk-forward forecasts, of `offset_paths`
    """
    offsets = {product.candidate(name).offset for name in product.pool} - {""}
    names = [*(n for n in offsets if n not in product.pool), *product.pool]
    members = []
    # An offset is fitted before the hybrid that starts from it, whatever the order of the pool.
    for candidate in sorted((product.candidate(n) for n in names), key=lambda c: bool(c.offset)):
        name, offset = candidate.name, candidate.offset
        own = design.take(candidate.columns)
        fitted = fit_candidate(candidate, own, session, offset=paths.get(offset), seed=seed)
        if not isinstance(fitted, Servable):
            raise DeclarationError(f"{product.name}: {candidate.engine} of {name} cannot be served")
        members.append(Member(name, candidate.engine, weights.get(name, 0.0), offset, fitted))
    return tuple(members)


def offset_paths(product: Product, design: Design, *, seed: int = SEED) -> dict[str, Path]:
    """Return the walk-forward forecasts that hybrids of the pool start from, by candidate."""
    offsets = {product.candidate(name).offset for name in product.pool} - {""}
    return {name: _offset_path(product, design, name, seed) for name in sorted(offsets)}


def _logits(
    product: Product, design: Design, record: pl.DataFrame, session: np.datetime64
) -> RegimeLogits | None:
    if not product.regime_columns:
        return None
    x, bounds = design.take(product.regime_columns).x, design.take(product.thresholds).x
    past, _ = outcomes(record, product, design.dates, x, bounds)
    return served_logits(past, session)


def _offset_path(product: Product, design: Design, name: str, seed: int) -> Path:
    folds = schedule(product, design, early=True)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as worker:
        path, _ = candidate_path(
            product.candidate(name), design, folds, offset=None, workers=worker, seed=seed
        )
    return path
