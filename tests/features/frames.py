"""Made-up frames in the shape of the silver tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl

from riskcast.tables import gold

OTHERS = ("VIX", "VIX3M", "TLT", "HYG", "DXY", "GLD", "WTI", *gold.SECTORS)
FIRST = date(2001, 1, 1)


def weekdays(count: int) -> list[date]:
    days = (FIRST + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def close_of(day: date) -> datetime:
    return datetime.combine(day, time(21, 15), UTC)


def bars(
    symbol: str, returns: Sequence[float], *, level: float = 100.0, basis: str = "adjusted"
) -> pl.DataFrame:
    """Bars with these log returns (the first is not used), ranges around open and close."""
    returns = np.asarray(returns, dtype=float)
    n, rng = len(returns), np.random.default_rng([len(returns), *symbol.encode()])
    close = level * np.exp(np.concatenate([[0.0], np.cumsum(returns[1:])]))
    open_ = np.concatenate([[level], close[:-1]]) * np.exp(rng.normal(0, 0.003, n))
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.004, n))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.004, n))
    days = weekdays(n)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "date": days,
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "adj_close": close,
            "ret": [None, *returns[1:].tolist()],
            "volume": [1e6] * n,
            "price_basis": [basis] * n,
            "known_at": [close_of(day) for day in days],
            "source": ["made-up"] * n,
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC"), "ret": pl.Float64},
    )


def market(n: int, *, seed: int = 0, asset: str = "SPY", basis: str = "adjusted") -> pl.DataFrame:
    """Bars of the asset, with clustered volatility, and of every symbol a feature uses."""
    rng = np.random.default_rng(seed)
    scale = 0.01 * np.exp(0.5 * np.sin(np.arange(n) / 40))
    own = scale * rng.standard_t(4, n)
    frames = [bars(asset, own, basis=basis)]
    for symbol in OTHERS:
        moves = 0.4 * own + scale * rng.standard_normal(n)
        level = 20.0 if symbol.startswith("VIX") else 80.0
        frames.append(bars(symbol, moves, level=level, basis="index"))
    return pl.concat(frames)


def no_macro() -> pl.DataFrame:
    return macro(0)


def macro(n: int, *, source: str = "made-up") -> pl.DataFrame:
    rng, days = np.random.default_rng(3), weekdays(n)
    return pl.DataFrame(
        {
            "date": pl.Series(days, dtype=pl.Date),
            **{column.name: rng.normal(size=n) for column in gold.MACRO},
            "known_at": pl.Series([close_of(d) for d in days], dtype=pl.Datetime("us", "UTC")),
            "source": pl.Series([source] * n, dtype=pl.String),
        }
    )


def sessions(n: int) -> pl.DataFrame:
    days = weekdays(n)
    return pl.DataFrame({"session": days, "known_at": [close_of(day) for day in days]})


def without(frame: pl.DataFrame, symbol: str, *days: date) -> pl.DataFrame:
    return frame.filter((pl.col("symbol") != symbol) | ~pl.col("date").is_in(list(days)))
