"""Walk-forward records whose skill is known by construction."""

from __future__ import annotations

import numpy as np
import polars as pl

from riskcast.products import DAILY_RISK

N = 1500


def market_record(n: int = N, *, seed: int = 0, spread: float = 0.6, **noise: float):
    """Return a record and features; `noise` is each model's error in ln h, the truth plus that.

    `spread` is how much the true variance moves, so how much there is to foresee.
    """
    defaults = {"pool_equal": 0.1, "log_har_vix": 0.25, "hv20": 0.8, "ewma": 0.6, "mean_var": None}
    rng = np.random.default_rng(seed)
    dates = np.busday_offset("2010-01-04", np.arange(n + 5))
    log_h = -7.5 + spread * rng.normal(size=n)
    y = np.exp(log_h) * rng.chisquare(5, size=n) / 5
    frames = []
    for model, error in {**defaults, **noise}.items():
        own = np.random.default_rng(sum(map(ord, model)) + seed)  # equal noise is equal forecasts
        guess = np.full(n, -7.5 + spread**2 / 2) if error is None else log_h
        guess = guess + (error or 0.0) * own.normal(size=n)
        frames.append(
            pl.DataFrame(
                {
                    "model": [model] * n,
                    "date": dates[:n],
                    "known": dates[5:],
                    "variance_hat": np.exp(guess),
                    "variance": y,
                }
            )
        )
    low, high = DAILY_RISK.thresholds
    unknown = [pl.lit(None, pl.Float64).alias(name) for name in DAILY_RISK.regime_columns]
    features = frames[0].select(
        "date",
        pl.lit(0.018).alias(low),
        pl.lit(0.028).alias(high),
        pl.lit([], pl.List(pl.String)).alias("simulated"),
        *unknown,
    )
    return pl.concat(frames), features
