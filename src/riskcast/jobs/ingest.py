"""Bring rows of the outside world into bronze."""

from __future__ import annotations

import polars as pl

from riskcast.core.window import Window
from riskcast.sources import Source
from riskcast.transforms.late import with_late_arrivals
from riskcast.transforms.sessions import xnys_sessions


def ingest_sessions(*, window: Window) -> pl.DataFrame:
    """Return the exchange's sessions of the window, rows of `sessions`."""
    return xnys_sessions(window.start.date(), window.end.date())


def ingest_market(*, source: Source, window: Window) -> pl.DataFrame:
    """Return the bars that became known in the window, rows of `raw.market`."""
    return source.fetch_market(window)


def ingest_macro(stored: pl.DataFrame, *, source: Source, window: Window) -> pl.DataFrame:
    """Return the macro vintages released in the window, rows of `raw.macro`.

    With them come values released before the window that no run has seen, as known at its end.

    Parameters
    ----------
    stored : DataFrame
        Rows of `raw.macro` known by the window's end.
    """
    fetched = source.fetch_macro(_with_look_back(source, window))
    return with_late_arrivals(
        fetched,
        stored,
        window,
        group="series_id",
        payload=("series_id", "macro_value_date", "value"),
        at="release_datetime",
    )


def ingest_calendar(stored: pl.DataFrame, *, source: Source, window: Window) -> pl.DataFrame:
    """Return the releases that became known in the window, rows of `release_calendar`.

    With them come releases that were scheduled, or moved, less than 30 days ahead.

    Parameters
    ----------
    stored : DataFrame
        Rows of `release_calendar` known by the window's end.
    """
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
