"""What a source is: somewhere bars, macro values and release schedules come from."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import polars as pl

from riskcast.core.errors import SourceMissing
from riskcast.core.window import Window
from riskcast.transforms.sessions import is_session


class Source(Protocol):
    """Rows in the shape of the bronze tables, `ingested_at` left to the lake.

    Attributes
    ----------
    look_back : timedelta
        How long after its official release a row may still first turn up. Zero where nothing
        is ever late.
    """

    name: str
    look_back: timedelta

    def fetch_market(self, window: Window) -> pl.DataFrame:
        """Return bars of `raw.market` that became known in the window, with known_at and source.

        Raises
        ------
        SourceMissing, SourceMalformed
            Naming the file, row and column; nothing is handed over half-read.
        """
        ...

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        """Return observations of `raw.macro` released in the window, one row per vintage."""
        ...

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        """Return releases of `release_calendar` that became known in the window."""
        ...

    def newest(self) -> str:
        """Return the last session the source has bars of the asset for, ISO date."""
        ...


def known_in(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the rows whose known_at lies in ``(start, end]``."""
    return rows.filter(pl.col("known_at").is_between(window.start, window.end, closed="right"))


def last_session(bars: pl.DataFrame, asset: str, place: str) -> str:
    """Return the last session `asset` has a bar on, ISO date.

    Raises
    ------
    SourceMissing
        If it has none; `place` says where the bars are from.
    """
    for day in bars.filter(pl.col("symbol") == asset)["date"].sort(descending=True):
        if is_session(day):
            return str(day)
    symbols = ", ".join(bars["symbol"].unique().sort())
    raise SourceMissing(
        f"{place} has no bar of {asset} on a session; set RISKCAST_ASSET to one of {symbols}"
    )
