"""How members of a pool are weighted. Both rules are evaluated; a product names one to serve."""

from __future__ import annotations

import numpy as np
import polars as pl

from riskcast.core.errors import DeclarationError
from riskcast.models.base import Dates, Floats
from riskcast.products import Product

EQUAL, QLIKE_WEIGHTED = "pool_equal", "pool_qlike"
DECAY, POWER = 0.998, 8.0  # half of the weight lies on the last 350 sessions


def qlike_weights(log_h: Floats, y: Floats, dates: Dates, known: Dates) -> Floats:
    """Return weights by discounted past QLIKE, one row per session, shape (n, members).

    w ~ (discounted mean QLIKE)^-POWER, as inverse losses in Stock and Watson (2004). A score
    counts from the session at whose close its outcome is known; before the first all are equal.

    Parameters
    ----------
    log_h : ndarray, shape (n, members)
    y : ndarray, shape (n,)
    dates, known : ndarray of datetime64[D], shape (n,)
        Session of each row, ascending, and the one at whose close its y was known.
    """
    scored = np.flatnonzero(~np.isnan(y) & ~np.isnat(known) & np.isfinite(log_h).all(axis=1))
    scored = scored[np.argsort(known[scored], kind="stable")]
    members = log_h.shape[1]
    weights = np.full(log_h.shape, 1 / members)
    total, mass, done = np.zeros(members), 0.0, 0
    for row, session in enumerate(dates):
        while done < len(scored) and known[scored[done]] <= session:
            ratio = y[scored[done]] / np.exp(log_h[scored[done]])
            total = DECAY * total + ratio - np.log(ratio) - 1
            mass, done = DECAY * mass + 1, done + 1
        if mass > 0:
            share = (total / mass) ** -POWER
            weights[row] = share / share.sum()
    return weights


def served_weights(product: Product, record: pl.DataFrame) -> dict[str, float]:
    """Return the weight of each member from now on, by the rule the product names.

    Parameters
    ----------
    record : DataFrame
        Walk-forward record of outcomes known by now.

    Raises
    ------
    DeclarationError
        If there is no such rule.
    """
    if product.pool_name == EQUAL:
        return dict.fromkeys(product.pool, 1 / len(product.pool))
    if product.pool_name != QLIKE_WEIGHTED:
        raise DeclarationError(
            f"{product.name}: {product.pool_name!r} is no pool; use {EQUAL} or {QLIKE_WEIGHTED}"
        )
    rows = record.filter(pl.col("model").is_in(product.pool)).pivot(
        "model", index=["date", "known", "variance"], values="variance_hat"
    )
    rows = rows.drop_nulls().sort("date")
    known = rows["known"].to_numpy().astype("datetime64[D]")
    log_h = np.log(rows.select(product.pool).to_numpy())
    # Every outcome is known by now, so the last row is told that all are.
    now = np.full(1, known.max())
    weights = qlike_weights(
        np.vstack([log_h, log_h[-1:]]),
        np.append(rows["variance"].to_numpy(), np.nan),
        np.append(rows["date"].to_numpy().astype("datetime64[D]"), now),
        np.append(known, np.datetime64("NaT", "D")),
    )[-1]
    return dict(zip(product.pool, weights.tolist(), strict=True))
