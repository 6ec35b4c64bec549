"""A source whose market leaves its past at a chosen session: for demonstrations and tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from riskcast.core.window import Window
from riskcast.sources.base import Source

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
PRICES = ("open", "high", "low", "close")


class ShiftedSource:
    """Another source's rows; from `since` on every move of the asset is `factor` times as large.

    Nothing before `since` is touched, so what was known then is what it was.
    """

    name = "shifted"

    def __init__(self, source: Source, asset: str, since: date, factor: float) -> None:
        self._source, self._asset = source, asset
        self._since, self._factor = since, factor
        self.look_back: timedelta = source.look_back

    def fetch_market(self, window: Window) -> pl.DataFrame:
        """Return the window's bars; each is moved by all moves since the shift began."""
        # From the beginning: a move of today rests on the close before the shift.
        from_start = Window(min(window.start, BEGINNING), window.end)
        bars = shift_bars(
            self._source.fetch_market(from_start), self._asset, self._since, self._factor
        )
        return bars.filter(pl.col("known_at") > window.start)

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        return self._source.fetch_macro(window)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        return self._source.fetch_calendar(window)

    def newest(self) -> str:
        return self._source.newest()


def shift_bars(bars: pl.DataFrame, asset: str, since: date, factor: float) -> pl.DataFrame:
    """Return the same rows; log moves of the asset from the close before `since` are multiplied.

    Prices keep their order, so a bar stays possible.
    """
    mine = bars.filter(pl.col("symbol") == asset).sort("date")
    before = mine.filter(pl.col("date") < since)
    after = mine.filter(pl.col("date") >= since)
    if before.is_empty() or after.is_empty():
        return bars
    base, adjusted = before["close"][-1], before["adj_close"][-1]
    moved = after.with_columns(
        *((base * (pl.col(name) / base).pow(factor)).alias(name) for name in PRICES),
        (adjusted * (pl.col("adj_close") / adjusted).pow(factor)).alias("adj_close"),
    )
    rest = bars.filter((pl.col("symbol") != asset) | (pl.col("date") < since))
    return pl.concat([rest, moved.select(rest.columns)])
