"""What follows from the verdicts of monitoring: events that start other pipelines."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from riskcast.core.window import Window

# The action that `health` names, and the asset whose event starts it.
EVENTS = {"retrain": "drift"}


def react(health: pl.DataFrame, *, window: Window, announce: Callable[[str], None]) -> None:
    """Announce what the checks of the window call for; cool-down and budget are theirs.

    Parameters
    ----------
    health : DataFrame
        Rows of `health` known by the window's end.
    """
    asked = health.filter(
        (pl.col("at") > window.start) & (pl.col("at") <= window.end), verdict="alarm"
    )
    for action in asked["check"].unique().sort():
        if action in EVENTS:
            announce(EVENTS[action])
