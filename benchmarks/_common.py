"""What benchmarks share: tables of a product from a folder of files or the bundled sample."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from riskcast.core.window import Window
from riskcast.evaluation.targets import build_labels
from riskcast.features.daily import build_features
from riskcast.products import DAILY_RISK
from riskcast.sources import FilesSource, SampleSource, Source
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

BEGINNING = datetime(1927, 1, 1, tzinfo=UTC)


def open_files(files: Path | None) -> tuple[Source, str]:
    """Return the source and its asset: SPY in `files`, the S&P 500 index in the sample."""
    if files is None:
        return SampleSource("GSPC"), "GSPC"
    return FilesSource(files, "SPY"), "SPY"


def gold_tables(source: Source, asset: str, end: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `features_daily` and `labels_daily` from what was known on the evening of `end`."""
    evening = datetime.combine(end + timedelta(days=1), time(), UTC)
    window = Window(BEGINNING, evening)
    sessions = xnys_sessions(BEGINNING.date(), end)
    market = curate_market(source.fetch_market(window), sessions)
    macro = align_macro(source.fetch_macro(window), sessions)
    features = build_features(market, macro, asset=asset)
    return features, build_labels(market, features, sessions, asset=asset, product=DAILY_RISK)
