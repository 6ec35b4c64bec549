"""Scores of the probabilities of calm, transition and risk_off."""

from __future__ import annotations

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.intervals import PROBS
from riskcast.models.base import Floats
from riskcast.models.regime_logits import Classes, classes


def brier(probs: Floats, outcome: Classes) -> float:
    """Return the mean Brier score summed over classes: 0 best, 2 worst (Brier 1950)."""
    return float(((probs - np.eye(probs.shape[1])[outcome]) ** 2).sum(axis=1).mean())


def log_loss(probs: Floats, outcome: Classes) -> float:
    """Return the mean of -ln of the probability given to what happened; infinite if it was 0."""
    with np.errstate(divide="ignore"):
        return float(-np.log(probs[np.arange(len(outcome)), outcome]).mean())


def persistence(published: pl.DataFrame) -> Floats:
    """Return, one-hot, the class of the newest outcome known at each session, shape (n, 3).

    Rows before the first known outcome are NaN. The newest outcome is judged by the thresholds
    of the session that uses it.
    """
    dates, known = (published[n].to_numpy().astype("datetime64[D]") for n in ("date", "known"))
    newest = np.searchsorted(known, dates, side="right") - 1
    rv = published["rv"].to_numpy()[np.maximum(newest, 0)]
    onehot: Floats = np.eye(3)[classes(rv, published.select("low", "high").to_numpy())]
    onehot[newest < 0] = np.nan
    return onehot


def summary(published: pl.DataFrame) -> dict[str, float]:
    """Return Brier score and log loss of published probabilities, and Brier of persistence.

    Parameters
    ----------
    published : DataFrame
        As `intervals.calibrated` returns; sessions without thresholds are left out.

    Raises
    ------
    NotEnoughHistory
        If no session has thresholds and an earlier outcome.
    """
    rows = published.drop_nulls(["low", "high"])
    reference = persistence(rows)
    scored = ~np.isnan(reference).any(axis=1)
    if not scored.any():
        raise NotEnoughHistory("no session has regime thresholds and an earlier known outcome")
    probs = rows.select(PROBS).to_numpy()[scored]
    outcome = classes(rows["rv"].to_numpy(), rows.select("low", "high").to_numpy())[scored]
    return {
        "brier": brier(probs, outcome),
        "log_loss": log_loss(probs, outcome),
        "brier_persistence": brier(reference[scored], outcome),
        "rows": int(scored.sum()),
    }
