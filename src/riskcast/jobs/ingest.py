"""Bring rows of the outside world into bronze."""

from __future__ import annotations

import polars as pl

from riskcast.core.window import Window
from riskcast.sources import Source
from riskcast.transforms.sessions import xnys_sessions


def ingest_sessions(*, window: Window) -> pl.DataFrame:
    """Return the exchange's sessions of the window, rows of `sessions`."""
    return xnys_sessions(window.start.date(), window.end.date())


def ingest_market(*, source: Source, window: Window) -> pl.DataFrame:
    """Return the bars that became known in the window, rows of `raw.market`."""
    return source.fetch_market(window)


def ingest_macro(*, source: Source, window: Window) -> pl.DataFrame:
    """Return the macro vintages released in the window, rows of `raw.macro`."""
    return source.fetch_macro(window)
