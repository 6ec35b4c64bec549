"""Small markets with a known truth, in the shape of features_daily and labels_daily."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import numpy as np
import polars as pl

from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.models.base import Design
from riskcast.products import DAILY_RISK, Candidate, Product, WalkForward

HAR = ("tv1", "tv5", "tv22")
RICH = (*HAR, "lvix", "r1neg", "neg22")
TREES = {
    "rounds": 8,
    "learning_rate": 0.05,
    "num_leaves": 5,
    "max_depth": 3,
    "min_data_in_leaf": 40,
    "bagging_fraction": 0.6,
    "feature_fraction": 0.6,
}
SMALL = replace(
    DAILY_RISK,
    candidates=(
        Candidate("log_har", "log_ols", HAR),
        Candidate("log_har_vix", "log_ols", (*HAR, "lvix")),
        Candidate(
            "gamma_glm",
            "gamma_glm",
            RICH,
            MappingProxyType({"alpha": 0.02, "range_weight": 0.5}),
        ),
        Candidate(
            "ridge_duan",
            "log_ridge",
            RICH,
            MappingProxyType({"alpha": 50.0, "range_weight": 0.5}),
        ),
        Candidate(
            "lightgbm_hybrid", "lightgbm_hybrid", RICH, MappingProxyType(TREES), offset="benchmark"
        ),
    ),
    scheme=WalkForward(min_train=400, refit_every=42),
    pool=("gamma_glm", "ridge_duan", "lightgbm_hybrid"),
    regime_columns=RICH,
    definitions=MappingProxyType({"terciles": DAILY_RISK.thresholds}),
    challengers=(),
)
LINEAR = replace(SMALL, candidates=SMALL.candidates[:4], pool=("gamma_glm", "ridge_duan"))


def log_returns(n: int, *, seed: int, persistence: float, vol_of_vol: float) -> np.ndarray:
    """Stochastic-volatility returns; `vol_of_vol` 0 is a random walk of constant volatility."""
    rng = np.random.default_rng(seed)
    log_var = np.zeros(n)
    for t in range(1, n):
        log_var[t] = persistence * log_var[t - 1] + vol_of_vol * rng.normal()
    return 0.01 * np.exp(log_var / 2) * rng.normal(size=n)


def market(
    n: int = 1100, *, seed: int = 0, persistence: float = 0.98, vol_of_vol: float = 0.25
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return features and labels; VIX is last month's variance seen through noise."""
    r = log_returns(n, seed=seed, persistence=persistence, vol_of_vol=vol_of_vol)
    rng = np.random.default_rng(seed + 1000)
    r2 = pl.Series(r**2)
    mean = {w: r2.rolling_mean(w) for w in (1, 5, 20, 22)}
    future = pl.Series(r**2).rolling_sum(5).shift(-5)
    past_rv = future.sqrt().shift(5)
    frame = pl.DataFrame({"date": np.busday_offset("2001-01-02", np.arange(n), roll="forward")})
    features = frame.select(
        pl.lit("SPY").alias("symbol"),
        pl.col("date").cast(pl.Date),
        pl.lit([], dtype=pl.List(pl.String)).alias("simulated"),
        tv1=(mean[1] + 1e-8).log(),
        tv5=(mean[5] + 1e-8).log(),
        tv22=(mean[22] + 1e-8).log(),
        lvix=(r2.ewm_mean(alpha=0.08) + 1e-8).log() + 0.1 * pl.Series(rng.normal(size=n)),
        spy_ret_1d=pl.Series(r),
        r1neg=pl.Series(np.maximum(-r, 0) / 0.01),
        neg22=pl.Series(np.where(r < 0, r**2, 0.0)).rolling_sum(22) / (22 * mean[22]),
        hv20=5 * mean[20],
        ewma=5 * r2.ewm_mean(alpha=0.06),
        mean_var=5 * r2.cum_sum() / pl.Series(np.arange(1, n + 1)),
        rv5_q33=_expanding(past_rv, 33),
        rv5_q67=_expanding(past_rv, 67),
    ).with_columns(known_at=_evening(pl.col("date")))
    labels = features.select(
        "symbol", "date", rv_5d=future.sqrt(), known_at=pl.col("known_at").shift(-5)
    ).drop_nulls("rv_5d")
    return features, labels


def as_of(design: Design, row: int) -> Design:
    """Return the design as it stood at the close of `row`: later labels not yet known."""
    rows = design.rows(slice(0, row + 1))
    known = rows.known <= rows.dates[-1]
    return replace(
        rows,
        y=np.where(known, rows.y, np.nan),
        known=np.where(known, rows.known, np.datetime64("NaT")),
    )


def built(
    product: Product = SMALL, **how: float
) -> tuple[Product, Design, pl.DataFrame, pl.DataFrame]:
    """Return the effective product, its design, features and labels of a market."""
    features, labels = market(**how)  # type: ignore[arg-type]
    design = build_design(features, labels, needed_columns(product))
    return effective(product, design), design, features, labels


def _evening(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + timedelta(hours=21)


def _expanding(values: pl.Series, q: int, least: int = 200) -> pl.Series:
    known = values.to_numpy()
    found = [np.nanquantile(known[: i + 1], q / 100) for i in range(least, len(known))]
    return pl.Series([None] * least + found, dtype=pl.Float64)
