"""What a source is: somewhere market bars and macro values come from."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from riskcast.core.window import Window


class Source(Protocol):
    """Rows in the shape of the bronze tables, `ingested_at` left to the lake."""

    name: str

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

    def newest(self) -> str:
        """Return the last session the source has bars of the asset for, ISO date."""
        ...
