"""Scores of the probabilities of calm, transition and risk_off."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.stats import rankdata

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.intervals import PROBS
from riskcast.models.base import Floats
from riskcast.models.regime_logits import Classes, classes
from riskcast.products import Product

BINS = 10


def brier(probs: Floats, outcome: Classes) -> float:
    """Return the mean Brier score summed over classes: 0 best, 2 worst (Brier 1950)."""
    return float(((probs - np.eye(probs.shape[1])[outcome]) ** 2).sum(axis=1).mean())


def log_loss(probs: Floats, outcome: Classes) -> float:
    """Return the mean of -ln of the probability given to what happened; infinite if it was 0."""
    with np.errstate(divide="ignore"):
        return float(-np.log(probs[np.arange(len(outcome)), outcome]).mean())


def auc(probs: Floats, outcome: Classes) -> float:
    """Return the macro mean over classes of the area under the ROC curve, one class against rest.

    From ranks (Mann and Whitney 1947); NaN if a class never occurs or nothing else does.
    """
    areas = []
    for k in range(probs.shape[1]):
        hit = outcome == k
        n1, n0 = int(hit.sum()), int((~hit).sum())
        if not n1 or not n0:
            return float("nan")
        areas.append((rankdata(probs[:, k])[hit].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
    return float(np.mean(areas))


def reliability(probs: Floats, outcome: Classes) -> pl.DataFrame:
    """Return, per class and bin of BINS equal widths, what was said, what came, and how often.

    Columns class, bin, said, came, rows; empty bins are left out.
    """
    classes_, n = probs.shape[1], len(probs)
    frame = pl.DataFrame(
        {
            "class": np.tile(np.arange(classes_), n),
            "said": probs.ravel(),
            "came": np.eye(classes_)[outcome].ravel(),
        }
    )
    binned = frame.with_columns(bin=(pl.col("said") * BINS).cast(pl.Int64).clip(0, BINS - 1))
    return (
        binned.group_by("class", "bin")
        .agg(pl.col("said", "came").mean(), pl.len().alias("rows"))
        .sort("class", "bin")
    )


def calibration_error(probs: Floats, outcome: Classes) -> float:
    """Return the expected calibration error: mean over classes of mean |said - came| by bin.

    Class-wise (Kull et al. 2019), so that each of the three published numbers is held to it.
    """
    table = reliability(probs, outcome)
    said, came, rows = (table[name].to_numpy() for name in ("said", "came", "rows"))
    return float(np.average(np.abs(said - came), weights=rows))


def transition_matrix(published: pl.DataFrame) -> Floats:
    """Return the chances of each class after the newest known one, shape (n, 3).

    Counted over the pairs whose second outcome was known by then, one of each added; NaN before
    the first known outcome.
    """
    newest = persistence(published)
    dates, known = (published[n].to_numpy().astype("datetime64[D]") for n in ("date", "known"))
    outcome = classes(published["rv"].to_numpy(), published.select("low", "high").to_numpy())
    counts, done = np.ones((3, 3)), 0
    said = np.full(newest.shape, np.nan)
    for row, session in enumerate(dates):
        while done < len(known) and known[done] <= session:
            if np.isfinite(newest[done]).all():
                counts[int(newest[done].argmax()), outcome[done]] += 1
            done += 1
        if np.isfinite(newest[row]).all():
            now = counts[int(newest[row].argmax())]
            said[row] = now / now.sum()
    return said


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


def known_definitions(product: Product, features: pl.DataFrame) -> list[str]:
    """Return the product's definitions of regimes whose bounds are known on some session.

    Bounds that come from fitted states are not where no fit was made.
    """
    known = {name for name in features.columns if features[name].null_count() < features.height}
    return [name for name, bounds in product.definitions.items() if known.issuperset(bounds)]


def summary(published: pl.DataFrame) -> dict[str, float]:
    """Return the scores of published probabilities, and the Brier scores of two naive ones.

    Brier score, log loss, macro AUC and calibration error; Brier of one-hot persistence and of
    the transition matrix, on the same sessions.

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
        "auc": auc(probs, outcome),
        "ece": calibration_error(probs, outcome),
        "brier_persistence": brier(reference[scored], outcome),
        "brier_transition": brier(transition_matrix(rows)[scored], outcome),
        "rows": int(scored.sum()),
    }
