"""What moved the forecasts along time, told by fits that did not know what they explain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.final import fit_members, offset_paths
from riskcast.evaluation.pools import served_weights
from riskcast.evaluation.walk_forward import SEED
from riskcast.models.base import Design, Floats
from riskcast.models.pool import Pool
from riskcast.products import Product

SCHEMA = {"date": pl.Date, "column": pl.String, "value": pl.Float64, "effect": pl.Float64}


def yearly_effects(
    product: Product, design: Design, record: pl.DataFrame, *, seed: int = SEED
) -> pl.DataFrame:
    """Return the effect of every column on the pool's ln h, out of sample.

    The pool is fitted at the first session of each calendar year and explains that year. Effects
    are SHAP values: coefficients of linear members, TreeSHAP of boosted ones.

    Parameters
    ----------
    product : Product
        Effective.
    record : DataFrame
        Walk-forward record; the sessions of the pool are those explained.

    Returns
    -------
    DataFrame
        Columns date, column, value, effect; by date, in order of the pool's columns.

    Raises
    ------
    NotEnoughHistory
        If the pool has no session in the record.
    """
    days = record.filter(pl.col("model") == product.pool_name)["date"].unique().sort()
    if days.is_empty():
        raise NotEnoughHistory(f"no forecast of {product.pool_name} is recorded; nothing explained")
    paths = offset_paths(product, design, seed=seed)
    frames = []
    for year in days.dt.year().unique().sort():
        mine = days.filter(days.dt.year() == year).to_numpy().astype("datetime64[D]")
        past = record.filter(pl.col("known") <= mine[0].item())
        weights = _weights(product, past)
        members = fit_members(product, design, mine[0], weights, paths, seed=seed)
        columns = tuple(dict.fromkeys(name for m in members for name in m.fitted.columns))
        rows = np.isin(design.dates, mine)
        x = design.take(columns).x[rows]
        effects = Pool(members, columns).contributions(x)
        frames.append(long_effects(design.dates[rows], columns, x, effects))
    return pl.concat(frames)


def long_effects(
    dates: np.ndarray, columns: tuple[str, ...], x: Floats, effects: Floats
) -> pl.DataFrame:
    """Return columns date, column, value, effect from contributions of shape (n, p + 1)."""
    n, p = x.shape
    return pl.DataFrame(
        {
            "date": np.repeat(dates, p),
            "column": np.tile(np.array(columns), n),
            "value": x.ravel(),
            "effect": effects[:, :-1].ravel(),
        },
        schema_overrides=SCHEMA,
    )


def _weights(product: Product, past: pl.DataFrame) -> dict[str, float]:
    if past.is_empty():  # the first year of the record: nothing scored yet
        return dict.fromkeys(product.pool, 1 / len(product.pool))
    return served_weights(product, past)


def importance(effects: pl.DataFrame) -> pl.DataFrame:
    """Return the share of each column in the mean absolute effect, percent, largest first."""
    table = effects.group_by("column").agg(pl.col("effect").abs().mean().alias("size"))
    return table.select("column", share=100 * pl.col("size") / pl.col("size").sum()).sort(
        "share", "column", descending=[True, False]
    )


def yearly_importance(effects: pl.DataFrame) -> pl.DataFrame:
    """Return `importance` of each calendar year: columns year, column, share."""
    size = effects.group_by(pl.col("date").dt.year().alias("year"), "column").agg(
        pl.col("effect").abs().mean().alias("size")
    )
    share = 100 * pl.col("size") / pl.col("size").sum().over("year")
    return size.select("year", "column", share=share).sort("year", "column")


def rank_stability(effects: pl.DataFrame) -> float:
    """Return the mean rank correlation of importances of one year and the next, NaN if one year.

    1 where columns keep their order (Spearman 1904), 0 where it is made anew each year.
    """
    wide = yearly_importance(effects).pivot("column", index="year", values="share").sort("year")
    shares = wide.drop("year").fill_null(0.0).to_numpy()
    if len(shares) < 2:
        return float("nan")
    ranks = shares.argsort(axis=1).argsort(axis=1)
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in pairwise(ranks)]
    return float(np.mean(pairs))
