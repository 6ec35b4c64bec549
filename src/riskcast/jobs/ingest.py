"""Bring rows of the outside world into bronze."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.sources import Source
from riskcast.tables.bronze import QUARANTINE, RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR
from riskcast.transforms.late import with_late_arrivals
from riskcast.transforms.screening import screen
from riskcast.transforms.sessions import xnys_sessions
from riskcast.transforms.vintages import new_vintages

# A return starts at most five sessions back; bars from there on are compared with what is stored.
LOOKBACK = timedelta(days=14)


def ingest_sessions(*, window: Window) -> pl.DataFrame:
    """Return the exchange's sessions of the window, rows of `sessions`."""
    return xnys_sessions(window.start.date(), window.end.date())


def ingest_market(
    *, source: Source, lake: Lake, window: Window
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what is new since the last run: rows of `raw.market` and of `quarantine`.

    New bars of the window, and bars of the two weeks before it that are late or were restated, as
    `new_vintages` tells. Bars that cannot be true go to the quarantine with the rule they break.
    Running a window again gives nothing new.
    """
    delivered = source.fetch_market(Window(window.start - LOOKBACK, window.end))
    passed, held = screen(delivered)
    stored = lake.read(RAW_MARKET, all_vintages=True)
    return new_vintages(passed, stored, window), _quarantined(held, window)


def _quarantined(held: pl.DataFrame, window: Window) -> pl.DataFrame:
    columns = [column.name for column in RAW_MARKET.columns]
    at = pl.lit(window.end).cast(pl.Datetime("us", "UTC"))
    return held.select(
        pl.lit(RAW_MARKET.name).alias("table"),
        pl.struct(*columns, "source").struct.json_encode().alias("row"),
        "rule",
        "reason",
        at.alias("at"),
        at.alias("known_at"),
        "source",
    ).unique(QUARANTINE.key, maintain_order=True)


def ingest_macro(*, source: Source, lake: Lake, window: Window) -> pl.DataFrame:
    """Return the macro vintages released in the window, rows of `raw.macro`.

    With them come values released before the window that no run has seen, as known at its end.
    """
    stored = lake.read(RAW_MACRO, all_vintages=True)
    fetched = source.fetch_macro(_with_look_back(source, window))
    return with_late_arrivals(
        fetched,
        stored,
        window,
        group="series_id",
        payload=("series_id", "macro_value_date", "value"),
        at="release_datetime",
    )


def ingest_calendar(*, source: Source, lake: Lake, window: Window) -> pl.DataFrame:
    """Return the releases that became known in the window, rows of `release_calendar`.

    With them come releases that were scheduled, or moved, less than 30 days ahead.
    """
    stored = lake.read(RELEASE_CALENDAR)
    fetched = source.fetch_calendar(_with_look_back(source, window))
    return with_late_arrivals(
        fetched,
        stored,
        window,
        group="event",
        payload=("event", "release_datetime"),
        at="known_at",
    )


def _with_look_back(source: Source, window: Window) -> Window:
    return Window(window.start - source.look_back, window.end)
