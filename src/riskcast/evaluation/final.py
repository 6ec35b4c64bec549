"""The fit that serves: every member of the pool on all that is known, with the pool's record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from riskcast.evaluation.walk_forward import (
    SEED,
    Path,
    candidate_path,
    fit_candidate,
    schedule,
)
from riskcast.models.base import Design, Floats
from riskcast.models.calibration import Calibration
from riskcast.models.served import Member, ServedModel
from riskcast.products import Product


def fit_served(
    product: Product, design: Design, ratios: Floats, *, seed: int = SEED
) -> ServedModel:
    """Fit the pool of an effective product at the newest known label.

    Parameters
    ----------
    design : Design
        As for the walk-forward; its last row is the newest session.
    ratios : ndarray, shape (m,)
        Walk-forward log ratios of the pool (`log_ratios`), all known by then.

    Raises
    ------
    NotEnoughHistory
        If a member or the calibration lacks rows.
    """
    fit_end = design.fit_end
    session = np.datetime64(fit_end)
    offsets = {product.candidate(name).offset for name in product.pool} - {""}
    names = [*(n for n in offsets if n not in product.pool), *product.pool]
    # An offset is fitted before the hybrid that starts from it, whatever the order of the pool.
    candidates = sorted((product.candidate(n) for n in names), key=lambda c: bool(c.offset))
    columns = tuple(dict.fromkeys(name for c in candidates for name in c.columns))
    members = []
    for candidate in candidates:
        weight = 1 / len(product.pool) if candidate.name in product.pool else 0.0
        path = _offset_path(product, design, candidate.offset, seed) if candidate.offset else None
        own = design.take(candidate.columns)
        fitted = fit_candidate(candidate, own, session, offset=path, seed=seed)
        members.append(Member(candidate.name, candidate.engine, weight, candidate.offset, fitted))
    return ServedModel(
        product.name,
        product.recipe,
        columns,
        product.thresholds,
        tuple(members),
        Calibration.of(ratios),
        fit_end,
    )


def _offset_path(product: Product, design: Design, name: str, seed: int) -> Path:
    folds = schedule(product, design, early=True)
    with ThreadPoolExecutor(1) as worker:
        path, _ = candidate_path(
            product.candidate(name), design, folds, offset=None, workers=worker, seed=seed
        )
    return path
