"""What each state of the market is like, in figures and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from riskcast.regimes.daily import INPUTS
from riskcast.regimes.hmm import fit_hmm
from riskcast.regimes.mixture import Floats, fit_kmeans, fit_mixture, order_by

EPISODES = 3  # longest unbroken stretches named per state
LEVELS = ("spy_vol_20d", "drawdown_60d", "vix", "spy_ret_20d")


def describe_states(features: pl.DataFrame) -> pl.DataFrame:
    """Return one row per state, least volatile first.

    Parameters
    ----------
    features : DataFrame
        ``features_daily`` of one asset with regime columns; sessions without a state are left
        out.

    Returns
    -------
    DataFrame
        Columns state, sessions, share (percent of sessions), duration (mean sessions of a stay),
        the mean of each of LEVELS, episodes (longest stays, "2008-09 to 2009-05"), words. No row
        if no session has a state.
    """
    rows = features.filter(pl.col("regime_cluster_id").is_not_null()).sort("date")
    if rows.is_empty():
        return pl.DataFrame()
    stays = (
        rows.with_columns(stay=pl.col("regime_cluster_id").rle_id())
        .group_by("stay", maintain_order=True)
        .agg(
            pl.col("regime_cluster_id").first().alias("state"),
            pl.len().alias("length"),
            pl.col("date").first().alias("from"),
            pl.col("date").last().alias("to"),
        )
    )
    table = (
        rows.group_by(pl.col("regime_cluster_id").alias("state"))
        .agg(pl.len().alias("sessions"), pl.col(LEVELS).mean())
        .with_columns(share=100 * pl.col("sessions") / rows.height)
        .join(stays.group_by("state").agg(pl.col("length").mean().alias("duration")), on="state")
        .join(_episodes(stays), on="state")
        .sort("state")
    )
    return table.with_columns(words=pl.Series([_words(r) for r in table.iter_rows(named=True)]))


def compare_methods(features: pl.DataFrame, *, k: int, seed: int) -> pl.DataFrame:
    """Return how states found in other ways behave on the sessions after their fit.

    Each way is fitted once on the first half of the sessions, ids by volatility, and told the
    second half as it comes: the hidden Markov model by its forward filter.

    Returns
    -------
    DataFrame
        Columns method, sessions, duration (mean stay), agreement (percent of sessions in the
        same state as by the mixture), low and high (mean volatility in the first and last
        state, NaN if never entered).
    """
    rows = features.sort("date").drop_nulls(INPUTS)
    x, volatility = rows.select(INPUTS).to_numpy(), rows["spy_vol_20d"].to_numpy()
    half = len(x) // 2
    mixture = order_by(fit_mixture(x[:half], k=k, seed=seed), 0)
    ways = {
        "Gaussian mixture": mixture.probabilities(x),
        "k-means": order_by(fit_kmeans(x[:half], k=k, seed=seed), 0).probabilities(x),
        "hidden Markov, filtered": fit_hmm(x[:half], mixture).filtered(x),
    }
    later = {name: probs[half:].argmax(axis=1) for name, probs in ways.items()}
    return pl.DataFrame(
        [
            {
                "method": name,
                "sessions": len(states),
                "duration": len(states) / (1 + np.count_nonzero(np.diff(states))),
                "agreement": 100 * float((states == later["Gaussian mixture"]).mean()),
                "low": _mean(volatility[half:][states == 0]),
                "high": _mean(volatility[half:][states == k - 1]),
            }
            for name, states in later.items()
        ]
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _episodes(stays: pl.DataFrame) -> pl.DataFrame:
    said = pl.format(
        "{} to {}", pl.col("from").dt.strftime("%Y-%m"), pl.col("to").dt.strftime("%Y-%m")
    )
    longest = stays.sort("length", descending=True).group_by("state").head(EPISODES)
    return longest.sort("from").group_by("state").agg(said.alias("episodes"))


def _words(row: dict[str, Any]) -> str:
    """Say what the state is like; what is not known is not said."""
    parts = [
        f"State {row['state']}: volatility {100 * row['spy_vol_20d']:.0f}% a year, "
        f"{-100 * row['drawdown_60d']:.1f}% below the 60-session high on average"
    ]
    if row["vix"] is not None:
        parts.append(f"VIX around {row['vix']:.0f}")
    trend = "rising" if row["spy_ret_20d"] > 0 else "falling"
    parts.append(
        f"{trend} by {abs(100 * row['spy_ret_20d']):.1f}% a month; {row['share']:.0f}% of "
        f"sessions, {row['duration']:.0f} in a row; longest: {', '.join(row['episodes'])}."
    )
    return ", ".join(parts)
