"""Regimes of the daily features: when they are fitted, and what each session is told."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from riskcast.core.errors import NotEnoughHistory
from riskcast.core.window import Window
from riskcast.features.daily import build_features as build_market_features
from riskcast.regimes.mixture import Mixture, choose_mixture, match, order_by
from riskcast.tables import gold
from riskcast.transforms.sessions import previous_session

# Volatility first: states are ordered by it. Only the asset's own columns, which are real on
# every row of every source; a state must not appear or vanish because a series starts.
INPUTS = ("ew94", "rv22", "drawdown_60d", "spy_ret_20d")
# Least volatile first; a state is named by its place among those of its own fit.
STATE_NAMES = {
    3: ("calm", "transition", "risk_off"),
    4: ("calm", "quiet", "tense", "risk_off"),
    5: ("calm", "quiet", "transition", "tense", "risk_off"),
}
MIN_ROWS = 750
OVERLAP = 20  # sessions that most inputs look back
SEED = 7
# Classes of the states that lie between: what is not calm or risk_off is transition.
CALM_STATES, RISK_OFF_STATES = ("calm", "quiet"), ("risk_off",)
EMPTY = {
    c.name: pl.lit(None, pl.Int64 if c.kind == "int" else pl.Float64)
    for c in (*gold.REGIME, *gold.CLUSTER_BOUNDS)
}


def build_features(
    market: pl.DataFrame, macro: pl.DataFrame, fits: pl.DataFrame, *, asset: str, window: Window
) -> pl.DataFrame:
    """Return rows of `features_daily`: the market features plus each session's regime.

    Session t is described by the newest fit with ``fit_end < t``; sessions before the first fit
    have nulls.

    Raises
    ------
    NotEnoughHistory
        If the session before the window's first one was never loaded.
    """
    features = build_market_features(market, macro, asset=asset)
    check_adjoins(features, window)
    return add_regimes(features, fits)


def check_adjoins(features: pl.DataFrame, window: Window) -> None:
    """Refuse a window that leaves a hole behind it.

    Backfilled days may run side by side, and then a day can come before the one it builds on:
    its returns would span the hole and its row would differ from the live one.

    Raises
    ------
    NotEnoughHistory
        Naming the missing session and the command that loads it.
    """
    days = features.select("date", "known_at").sort("date")
    inside = days.filter((pl.col("known_at") > window.start) & (pl.col("known_at") <= window.end))[
        "date"
    ]
    if inside.is_empty():
        return
    first = inside[0]
    earlier = days.filter(pl.col("date") < first)["date"]
    needed = previous_session(first)
    if not earlier.is_empty() and earlier[-1] < needed:
        raise NotEnoughHistory(
            f"{first} builds on {needed}, which was never loaded (the newest bar before is of "
            f"{earlier[-1]}); run it first: riskcast run market_daily "
            f"--start {earlier[-1]} --end {needed}"
        )


def fit_due(
    market: pl.DataFrame,
    macro: pl.DataFrame,
    fits: pl.DataFrame,
    *,
    asset: str,
    window: Window,
) -> pl.DataFrame:
    """Fit the mixtures due in the window, rows of `regime_fits`.

    Fits are due at the last session of each quarter, whatever day the run happens on, so live
    runs, reruns and backfills fit the same rows. Fits that exist are never made again.
    """
    features = build_market_features(market, macro, asset=asset).sort("date")
    known = {row["fit_end"]: row for row in fits.iter_rows(named=True)}
    rows = []
    for end in _quarter_ends(features, window):
        if end["date"] in known:
            rows.append(known[end["date"]])
            continue
        seen = features.filter(pl.col("date") <= end["date"]).select(INPUTS).drop_nulls()
        if seen.height < MIN_ROWS:
            continue
        earlier = [d for d in known if d < end["date"]]
        row = _fit_row(seen, end, known[max(earlier)] if earlier else None)
        known[end["date"]] = row
        rows.append(row)
    return pl.DataFrame([{n: row[n] for n in FIT_SCHEMA} for row in rows], schema=FIT_SCHEMA)


FIT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "fit_end": pl.Date,
    "k": pl.Int64,
    "inputs": pl.List(pl.String),
    **{n: pl.List(pl.Float64) for n in ("center", "scale", "weights", "means", "covariances")},
    "state_names": pl.List(pl.String),
    "state_ids": pl.List(pl.Float64),
    "matched_to": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
}


def _quarter_ends(features: pl.DataFrame, window: Window) -> list[dict[str, Any]]:
    """Last session of each quarter that has ended by the window's end, if known inside it.

    A quarter has ended once a session of the next one is known, or its calendar says so; the
    next session is what we can see without a calendar of the future.
    """
    quarter = pl.col("date").dt.truncate("1q")
    last = (
        features.select("date", "known_at", quarter.alias("quarter"))
        .with_columns(pl.col("quarter").shift(-1).alias("next"), pl.col("known_at").shift(-1))
        .filter(pl.col("quarter") != pl.col("next"))
    )
    inside = (pl.col("known_at") > window.start) & (pl.col("known_at") <= window.end)
    return last.filter(inside).select("date", "known_at").to_dicts()


def _fit_row(
    seen: pl.DataFrame, end: dict[str, Any], previous: dict[str, Any] | None
) -> dict[str, Any]:
    with threadpool_limits(1, user_api="blas"):  # small matrices: threads would only wait
        chosen = choose_mixture(seen.to_numpy(), ks=tuple(STATE_NAMES), seed=SEED, overlap=OVERLAP)
    mixture = order_by(chosen, 0)
    if previous is not None and list(previous["inputs"]) != list(INPUTS):
        previous = None  # other inputs: nothing to compare centres by
    if previous is not None:
        mixture = match(mixture, mixture_of(previous))
    return {
        "fit_end": end["date"],
        "k": len(mixture.ids),
        "inputs": list(INPUTS),
        "center": mixture.center.tolist(),
        "scale": mixture.scale.tolist(),
        "weights": mixture.weights.tolist(),
        "means": mixture.means.ravel().tolist(),
        "covariances": mixture.covariances.ravel().tolist(),
        "state_names": _names(mixture),
        "state_ids": [float(i) for i in mixture.ids],
        "matched_to": previous["fit_end"] if previous else None,
        "known_at": end["known_at"],
        "source": "derived",
    }


def _names(mixture: Mixture) -> list[str]:
    rank = np.argsort(np.argsort(mixture.means[:, 0], kind="stable"))
    return [STATE_NAMES[len(rank)][place] for place in rank]


def mixture_of(row: dict[str, Any]) -> Mixture:
    """Return the mixture stored in a row of `regime_fits`."""
    k, p = int(row["k"]), len(row["inputs"])
    return Mixture(
        np.asarray(row["center"], dtype=np.float64),
        np.asarray(row["scale"], dtype=np.float64),
        np.asarray(row["weights"], dtype=np.float64),
        np.asarray(row["means"], dtype=np.float64).reshape(k, p),
        np.asarray(row["covariances"], dtype=np.float64).reshape(k, p, p),
        tuple(int(i) for i in row.get("state_ids") or range(k)),
    )


def add_regimes(features: pl.DataFrame, fits: pl.DataFrame) -> pl.DataFrame:
    """Fill the regime columns of `features` from fits made before each row."""
    features = features.sort("date").with_columns(**EMPTY)
    ordered = fits.sort("fit_end").to_dicts()
    if not ordered:
        return features
    ends: list[date] = [row["fit_end"] for row in ordered]
    parts = [features.filter(pl.col("date") <= ends[0])]
    for row, last in zip(ordered, [*ends[1:], date.max], strict=True):
        span = (pl.col("date") > row["fit_end"]) & (pl.col("date") <= last)
        low, high = mapped_bounds(features.filter(pl.col("date") <= row["fit_end"]), row)
        bounds = {"rv5_calm": pl.lit(low, pl.Float64), "rv5_risk_off": pl.lit(high, pl.Float64)}
        parts.append(_describe(features.filter(span), row).with_columns(**bounds))
    return pl.concat(parts)


def mapped_bounds(past: pl.DataFrame, row: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the volatilities that separate calm, transition and risk_off as the states do.

    States say where a session stands, a label what its next five did. They are mapped by their
    shares: as many of the labels known at the fit lie below the first bound as its sessions lay
    in calm states, and as many above the second as in risk_off.

    Parameters
    ----------
    past : DataFrame
        Features of the sessions that the fit saw. ``rv5`` of a session, the log mean square of
        its last five returns, is the label of the one five before.
    row : dict
        A row of `regime_fits`.

    Returns
    -------
    (float or None, float or None)
        On the scale of rv_5d; None where no session is whole.
    """
    whole = past.select(row["inputs"]).drop_nulls()
    labels = past.select((5 * pl.col("rv5").exp()).sqrt()).to_series().drop_nulls()
    if whole.is_empty() or labels.is_empty():
        return None, None
    state = mixture_of(row).probabilities(whole.to_numpy()).argmax(axis=1)
    named = np.asarray(row["state_names"])[state]
    calm, risk_off = (np.isin(named, names).mean() for names in (CALM_STATES, RISK_OFF_STATES))
    low, high = np.quantile(labels.to_numpy(), [calm, 1.0 - risk_off])
    return float(low), float(high)


def _describe(features: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    inputs = [str(name) for name in row["inputs"]]
    x = features.select(inputs).to_numpy()
    whole = ~np.isnan(x).any(axis=1)
    if not whole.any():
        return features
    mixture = mixture_of(row)
    probabilities = np.full((len(x), len(mixture.weights)), np.nan)
    distances = probabilities.copy()
    probabilities[whole] = mixture.probabilities(x[whole])
    distances[whole] = mixture.distances(x[whole])
    most = [
        mixture.ids[p.argmax()] if ok else None for p, ok in zip(probabilities, whole, strict=True)
    ]
    columns = [pl.Series("regime_cluster_id", most, pl.Int64)]
    for k, state in enumerate(mixture.ids):
        columns.append(pl.Series(f"prob_cluster_{state}", probabilities[:, k], nan_to_null=True))
        columns.append(pl.Series(f"dist_to_centroid_{state}", distances[:, k], nan_to_null=True))
    return features.with_columns(columns)
