"""What benchmarks share: arguments, and tables from a folder of files or the bundled sample."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from riskcast.core.window import Window
from riskcast.evaluation.targets import build_labels
from riskcast.products import DAILY_RISK
from riskcast.regimes.daily import FIT_SCHEMA, build_features, fit_due
from riskcast.sources import FilesSource, SampleSource, Source
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

BEGINNING = datetime(1927, 1, 1, tzinfo=UTC)
DAILY_VOLATILITY, TICKS = 0.01, 78  # of the random walk; five-minute steps


def parser_of(doc: str) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark takes, described by the first line of its text."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--files", type=Path, help="folder with market_daily and macro")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser


def open_files(files: Path | None) -> tuple[Source, str]:
    """Return the source and its asset: SPY in `files`, the S&P 500 index in the sample."""
    if files is None:
        return SampleSource("GSPC"), "GSPC"
    return FilesSource(files, "SPY"), "SPY"


def gold_tables(
    source: Source, asset: str, end: date, *, states: bool = False, random_walk: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `features_daily` and `labels_daily` from what was known on the evening of `end`.

    With `states` the regime columns are filled by quarterly fits, which takes a minute. With
    `random_walk` the asset's bars are replaced by ones without anything to foresee, and all
    other symbols are left out.
    """
    evening = datetime.combine(end + timedelta(days=1), time(), UTC)
    window = Window(BEGINNING, evening)
    sessions = xnys_sessions(BEGINNING.date(), end)
    bars = source.fetch_market(window)
    market = curate_market(without_memory(bars, asset) if random_walk else bars, sessions)
    macro = align_macro(source.fetch_macro(window), sessions)
    none = pl.DataFrame(schema=FIT_SCHEMA)
    fits = fit_due(market, macro, none, asset=asset, window=window) if states else none
    features = build_features(market, macro, fits, asset=asset, window=window)
    labels = build_labels(market, features, sessions, asset=asset, product=DAILY_RISK)
    return features, labels


def without_memory(bars: pl.DataFrame, asset: str, *, seed: int = 1) -> pl.DataFrame:
    """Return the asset's bars with prices of a random walk of constant volatility."""
    rows = bars.filter(pl.col("symbol") == asset).sort("date")
    steps = np.random.default_rng(seed).normal(
        scale=DAILY_VOLATILITY / TICKS**0.5, size=(rows.height, TICKS)
    )
    path = np.exp(np.cumsum(steps, axis=1))
    close = 100 * np.cumprod(path[:, -1])
    opened = np.r_[100.0, close[:-1]]
    return rows.with_columns(
        open=opened,
        high=opened * np.maximum(path.max(axis=1), 1.0),
        low=opened * np.minimum(path.min(axis=1), 1.0),
        close=close,
        adj_close=close,
    )
