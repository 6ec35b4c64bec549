"""Do the same features move the forecasts as before? From the effects published with each."""

from __future__ import annotations

import numpy as np
import polars as pl

SESSIONS = 63  # compared with as many before
FEWEST = 20  # on either side; fewer say nothing


def driver_shares(predictions: pl.DataFrame, sessions: int = SESSIONS) -> pl.DataFrame:
    """Return each driver's share in the mean absolute effect, now and before.

    Effects are SHAP values on ln of the variance; those that were not among a forecast's top
    drivers count as 0.

    Parameters
    ----------
    predictions : DataFrame
        Rows of `predictions_daily` of one role, ascending by date.

    Returns
    -------
    DataFrame
        Columns column, now, before (percent), by `now` descending; empty while either side has
        fewer than FEWEST forecasts.
    """
    half = min(sessions, predictions.height // 2)
    if half < FEWEST:
        return pl.DataFrame(schema={"column": pl.String, "now": pl.Float64, "before": pl.Float64})
    newest = predictions.tail(2 * half)
    now, before = _shares(newest.tail(half), "now"), _shares(newest.head(half), "before")
    both = now.join(before, on="column", how="full", coalesce=True).fill_null(0.0)
    return both.sort("now", "column", descending=[True, False])


def _shares(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    effects = rows.select("top_drivers", "driver_effects").explode("top_drivers", "driver_effects")
    size = effects.group_by(pl.col("top_drivers").alias("column")).agg(
        pl.col("driver_effects").abs().sum()
    )
    share = 100 * pl.col("driver_effects") / pl.col("driver_effects").sum()
    return size.select("column", share.alias(name))


def agreement(shares: pl.DataFrame) -> float:
    """Return the rank correlation of the shares (Spearman 1904); NaN for fewer than 3 drivers."""
    if shares.height < 3:
        return float("nan")
    ranks = shares.select(pl.col("now", "before").rank())
    return float(np.corrcoef(ranks["now"], ranks["before"])[0, 1])
