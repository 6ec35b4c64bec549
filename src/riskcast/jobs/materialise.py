"""Brings the newest published features to the store that serving reads."""

from __future__ import annotations

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.online import store


def materialise(*, settings: Settings, window: Window) -> None:
    """Register the online tables with Feast and store the newest row known by the window's end.

    In Redis, or without ``RISKCAST_REDIS`` in SQLite below <home>. Running it again changes
    nothing; a window older than what is stored leaves the store as it is.

    Raises
    ------
    TableMissing
        If the publish step has not run.
    StackError
        If the store does not answer.
    """
    store.apply(settings)
    store.materialise(settings, window)
