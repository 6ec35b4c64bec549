"""What published forecasts turned out to be worth, beside what their recipe promised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.losses import with_losses
from riskcast.evaluation.regimes import brier
from riskcast.models.base import FLOOR, Floats
from riskcast.monitoring.findings import ALARM, OK, WARN, Finding
from riskcast.monitoring.guardrail import block_rows
from riskcast.products import Product

WINDOW = 63  # scored sessions that a realised figure covers
FEWEST = 20  # below this nothing is said
LEVELS = (0.95, 0.99)  # of the same figure's own past: beyond the first warn, the second alarm
DRAWS = 2000
PROBS = ("p_calm", "p_transition", "p_risk_off")
REGIMES = ("calm", "transition", "risk_off")


def live_losses(predictions: pl.DataFrame, labels: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Return the loss of every forecast whose outcome is known, rows of `losses`.

    Every role is scored; `known_at` is when the label could first be read, never before, so a
    score lands in the window in which its label matured.
    """
    outcome = labels.select("symbol", "date", "rv_5d", pl.col("known_at").alias("matured"))
    scored = predictions.join(outcome, on=["symbol", "date"], how="inner").select(
        pl.lit(product.name).alias("product"),
        pl.lit("live").alias("evaluation"),
        pl.col("model_version").alias("recipe"),
        pl.col("slot").alias("model"),
        "symbol",
        "date",
        pl.max_horizontal(pl.col("rv_5d_hat") ** 2, FLOOR).alias("variance_hat"),
        pl.max_horizontal(pl.col("rv_5d") ** 2, FLOOR).alias("variance"),
        pl.max_horizontal("known_at", "matured").alias("known_at"),
        pl.lit("derived").alias("source"),
    )
    return with_losses(scored).sort("date", "model")


def realised(predictions: pl.DataFrame, labels: pl.DataFrame, role: str) -> pl.DataFrame:
    """Return the role's last WINDOW forecasts with their outcome, ascending."""
    mine = predictions.filter(pl.col("slot") == role)
    outcome = labels.select("symbol", "date", "rv_5d", "regime_5d")
    return mine.join(outcome, on=["symbol", "date"], how="inner").sort("date").tail(WINDOW)


def skill(
    rows: pl.DataFrame,
    record: pl.DataFrame,
    *,
    at: datetime,
    role: str,
    coverage: Mapping[int, tuple[float, float]],
    promised: Mapping[str, float],
    worse_rmse: float,
) -> list[Finding]:
    """Judge a role's realised forecasts.

    QLIKE and RMSE are held against what means of as many sessions reached on the walk-forward
    record (block bootstrap), coverage against the binomial spread about its level widened for
    overlapping outcomes, Brier against the figure at the gate.

    Parameters
    ----------
    rows : DataFrame
        `realised`.
    record : DataFrame
        Walk-forward losses of the recipe: columns date, qlike, sq_error.
    coverage : mapping of level to (low, high)
        Bounds that the recipe kept at the gate; for the number of sessions it was judged on.
    promised : mapping of figure to value
        Figures of the gate's decision.
    worse_rmse : float
        Fixed limit besides: share by which RMSE may exceed its walk-forward value.
    """
    n = rows.height
    if n < FEWEST:
        why = f"{n} scored sessions; realised skill is judged from {FEWEST}"
        return [Finding("skill", f"{role}.qlike", at, None, None, OK, why)]
    y = np.maximum(rows["rv_5d"].to_numpy() ** 2, FLOOR)
    h = np.maximum(rows["rv_5d_hat"].to_numpy() ** 2, FLOOR)
    losses = with_losses(pl.DataFrame({"variance": y, "variance_hat": h}))
    found = []
    for name, column in (("qlike", "qlike"), ("rmse", "sq_error")):
        past, now = record.sort("date")[column].to_numpy(), float(losses[column].mean())  # type: ignore[arg-type]
        found.append(_against_record(f"{role}.{name}", now, past, n, at, worse_rmse))
    found += [_coverage(rows, role, level, at) for level in coverage]
    found.append(_brier(rows, role, promised, at))
    return found


def _against_record(
    subject: str, now: float, past: Floats, n: int, at: datetime, worse_rmse: float
) -> Finding:
    if len(past) < 2 * n:
        raise NotEnoughHistory(f"{subject}: {len(past)} walk-forward losses; needs {2 * n}")
    # Seeded by what is judged, so that judging again gives the same verdict.
    rng = np.random.default_rng(len(past))
    means = past[block_rows(len(past), n, DRAWS, rng)].mean(axis=1)
    warn, alarm = np.quantile(means, LEVELS)
    promise = float(past.mean())
    root = subject.endswith(".rmse")
    value, warn, alarm, promise = (
        float(np.sqrt(v)) if root else float(v) for v in (now, warn, alarm, promise)
    )
    verdict = ALARM if value > alarm else WARN if value > warn else OK
    figures = {"promised": promise, "warn": warn, "alarm": alarm, "sessions": n}
    if root:
        figures["fixed_limit"] = promise * (1 + worse_rmse)
    why = f"{value:.4f} over {n} sessions; promised {promise:.4f}, 1 in 100 exceeds {alarm:.4f}"
    return Finding("skill", subject, at, value, alarm, verdict, why, figures)


def _coverage(rows: pl.DataFrame, role: str, level: int, at: datetime) -> Finding:
    inside = rows["rv_5d"].is_between(rows[f"lo_{level}"], rows[f"hi_{level}"]).to_numpy()
    n, nominal = len(inside), level / 100
    # Outcomes of five sessions overlap, so n of them hold about n / 5 pieces of news.
    spread = np.sqrt(nominal * (1 - nominal) / max(n / 5, 1))
    low, value = float(max(nominal - 2.6 * spread, 0.0)), float(inside.mean())
    verdict = ALARM if value < low else OK
    why = f"{level}% intervals held {value:.0%} of {n} outcomes; below {low:.0%} is no chance"
    return Finding(
        "skill", f"{role}.coverage_{level}", at, value, low, verdict, why, {"sessions": n}
    )


def _brier(rows: pl.DataFrame, role: str, promised: Mapping[str, float], at: datetime) -> Finding:
    known = rows.drop_nulls("regime_5d")
    if known.is_empty():
        return Finding("skill", f"{role}.brier", at, None, None, OK, "no regime is known yet")
    outcome = known["regime_5d"].replace_strict(dict(zip(REGIMES, range(3), strict=True)))
    value = brier(known.select(PROBS).to_numpy(), outcome.to_numpy())
    promise = promised.get("brier")
    if promise is None:
        return Finding("skill", f"{role}.brier", at, value, None, OK, f"{value:.3f}; no promise")
    verdict = WARN if value > 1.5 * promise else OK
    why = f"{value:.3f} over {len(known)} sessions; promised {promise:.3f}"
    return Finding("skill", f"{role}.brier", at, value, 1.5 * promise, verdict, why)
