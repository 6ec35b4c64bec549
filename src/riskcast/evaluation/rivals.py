"""Rivals of what is published: intervals and probabilities that learn more from the features.

Measured by the report, served by none: on 2007-2014 quantiles that trees learn were no better by
interval score than those of the plain ratios, and a tree ensemble added nothing to the blend of
regime probabilities.
"""

from __future__ import annotations

from datetime import date
from math import ceil, floor

import lightgbm as lgb
import numpy as np
import polars as pl
from scipy.special import softmax

from riskcast.evaluation import intervals, regimes
from riskcast.evaluation.regime_probs import REFIT, Past, walk
from riskcast.models.base import Floats
from riskcast.models.calibration import LEVELS, MEMORY, MIN_RATIOS
from riskcast.models.regime_logits import MIN_ROWS, classes
from riskcast.products import Product

SEED = 20040102
TREES = {
    "learning_rate": 0.05,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
    "seed": SEED,
}
QUANTILE = {"objective": "quantile", "num_leaves": 3, "min_data_in_leaf": 300}
QUANTILE_ROUNDS = 40
MULTICLASS = {"objective": "multiclass", "num_class": 3, "num_leaves": 4, "min_data_in_leaf": 150}
MULTICLASS_ROUNDS = 60


def interval_scores(
    record: pl.DataFrame, features: pl.DataFrame, product: Product, *, start: date
) -> dict[str, dict[str, float]]:
    """Return the summaries of what is published and of its rival, on the sessions of both."""
    past, ends = intervals.past_of(record, features, product)
    rival = conformal_quantiles(past)[len(past.dates) - len(ends) :]
    both = np.asarray(np.isfinite(rival).all(axis=1))
    since = pl.col("date") >= start
    found = {}
    ways = {"ratios, tracked (published)": ends, "conformalised tree quantiles": rival}
    for name, given in ways.items():
        frame = intervals.as_published(past, given, past.implied).filter(pl.Series(both))
        shown = frame if given is ends else frame.drop("crps")  # of the published distribution
        found[name] = intervals.summary(shown.filter(since))
    return found


def regime_scores(
    record: pl.DataFrame, features: pl.DataFrame, product: Product, *, start: date
) -> dict[str, dict[str, float]]:
    """Return the summaries of what is published, its parts, and a blend with trees."""
    past, ends = intervals.past_of(record, features, product)
    published, plain = walk(past)
    trees = multiclass(past)
    with np.errstate(divide="ignore", invalid="ignore"):
        three = softmax((2 * np.log(plain) + np.log(trees)) / 3, axis=1)
    ways = {
        "forecast and logits, tempered (published)": published,
        "forecast and logits": plain,
        "forecast alone": past.implied,
        "trees alone": trees,
        "forecast, logits and trees": three,
    }
    whole = np.asarray(np.isfinite(np.hstack(list(ways.values()))).all(axis=1))
    both = whole[len(past.dates) - len(ends) :]
    since = pl.col("date") >= start
    return {
        name: regimes.summary(
            intervals.as_published(past, ends, probs).filter(pl.Series(both)).filter(since)
        )
        for name, probs in ways.items()
    }


def conformal_quantiles(past: Past) -> Floats:
    """Return ends of rv_5d per level, columns as LEVELS low and high, shape (n, 6).

    Conformalised quantile regression (Romano, Patterson and Candes 2019): LightGBM quantiles of
    ln(y/h) given the features and ln h, refitted every REFIT sessions on outcomes known by then;
    each end is moved by the conformal quantile of its own errors on the newest MEMORY forecasts
    it made and whose outcome is known. NaN until there are enough of both.
    """
    tails = [t for level in LEVELS for t in ((1 - level / 100) / 2, (1 + level / 100) / 2)]
    x = np.column_stack([past.x, past.log_h])
    ratios = 2 * np.log(past.rv) - past.log_h
    raw = np.full((len(ratios), len(tails)), np.nan)
    for start in range(0, len(ratios), REFIT):
        seen = past.known <= past.dates[start]
        if seen.sum() < MIN_ROWS:
            continue
        rows = slice(start, start + REFIT)
        for j, tail in enumerate(tails):
            params = {**TREES, **QUANTILE, "alpha": tail}
            data = lgb.Dataset(x[seen], label=ratios[seen], params=params)
            raw[rows, j] = lgb.train(params, data, QUANTILE_ROUNDS).predict(x[rows])
    ends = np.full(raw.shape, np.nan)
    for row, session in enumerate(past.dates):
        # Outcomes are known in order of date, so those known are the first ones.
        known = int(np.searchsorted(past.known, session, side="right"))
        errors = ratios[:known, None] - raw[:known]
        errors = errors[np.isfinite(errors).all(axis=1)][-MEMORY:]
        if len(errors) >= MIN_RATIOS:
            ends[row] = raw[row] + _conformal(errors, tails)
    return np.asarray(np.sqrt(np.exp(past.log_h[:, None] + ends)))


def _conformal(errors: Floats, tails: list[float]) -> Floats:
    m, ordered = len(errors), np.sort(errors, axis=0)
    index = [
        max(floor((m + 1) * tail), 1) - 1 if tail < 0.5 else min(ceil((m + 1) * tail), m) - 1
        for tail in tails
    ]
    return np.asarray(ordered[index, np.arange(len(tails))])


def multiclass(past: Past) -> Floats:
    """Return probabilities of the regimes by boosted trees alone, shape (n, 3).

    On the features and the gaps of ln h to both thresholds, refitted every REFIT sessions on the
    outcomes known by then; NaN until there are enough.
    """
    with np.errstate(divide="ignore"):
        gaps = past.log_h[:, None] - 2 * np.log(past.thresholds)
    x = np.column_stack([past.x, np.minimum(gaps, 50.0)])
    outcome = classes(past.rv, past.thresholds)
    said = np.full(past.implied.shape, np.nan)
    params = {**TREES, **MULTICLASS}
    for start in range(0, len(x), REFIT):
        seen = (past.known <= past.dates[start]) & np.isfinite(past.thresholds).all(axis=1)
        if seen.sum() < MIN_ROWS:
            continue
        data = lgb.Dataset(x[seen], label=outcome[seen], params=params)
        rows = slice(start, start + REFIT)
        said[rows] = lgb.train(params, data, MULTICLASS_ROUNDS).predict(x[rows])
    return said
