"""Made-up rows in the shape of the bronze tables, and the two structural leak checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl

from riskcast.transforms.sessions import known_at

Build = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
MARKET_SCHEMA = {
    "symbol": pl.String,
    "date": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "adj_close": pl.Float64,
    "volume": pl.Float64,
    "price_basis": pl.String,
    "source": pl.String,
}
MACRO_SCHEMA = {
    "series_id": pl.String,
    "macro_value_date": pl.Date,
    "release_datetime": pl.Datetime("us", "UTC"),
    "value": pl.Float64,
    "frequency": pl.String,
    "source": pl.String,
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bar(symbol: str, day: str | date, **values: object) -> dict[str, object]:
    """A bar; what is not given is 100 or basis adjusted."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    close = values.get("close", 100.0)
    default = dict.fromkeys(("open", "high", "low", "close", "adj_close"), close)
    named = {"symbol": symbol, "date": day, "volume": 1e6, "price_basis": "adjusted"}
    return {**named, **default, "source": "made-up", **values}


def market(*rows: dict[str, object]) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema=MARKET_SCHEMA)
    return frame.with_columns(known_at(frame["date"]))


def vintage(
    series_id: str, period: str, released: str, value: float, frequency: str = "M", **more: object
) -> dict[str, object]:
    return {
        "series_id": series_id,
        "macro_value_date": date.fromisoformat(period),
        "release_datetime": utc(released),
        "value": value,
        "frequency": frequency,
        "source": "made-up",
        **more,
    }


def macro(*rows: dict[str, object]) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema=MACRO_SCHEMA)
    return frame.with_columns(known_at=pl.col("release_datetime"))


def changed_by_truncation(
    build: Build, raw: pl.DataFrame, sessions: pl.DataFrame, cut: datetime
) -> bool:
    """Whether leaving out what is known after `cut` changes a row known by then."""
    by_then = pl.col("known_at") <= cut
    then = build(raw.filter(by_then), sessions.filter(by_then))
    return not then.equals(build(raw, sessions).filter(by_then))


def changed_by_perturbation(
    build: Build, raw: pl.DataFrame, sessions: pl.DataFrame, cut: datetime, columns: list[str]
) -> bool:
    """Whether other values after `cut` change a row known by then."""
    by_then = pl.col("known_at") <= cut
    other = raw.with_columns(
        pl.when(by_then).then(pl.col(name)).otherwise(pl.col(name) * 1.3 + 0.7).alias(name)
        for name in columns
    )
    now, would = build(raw, sessions), build(other, sessions)
    return not now.filter(by_then).equals(would.filter(by_then))
