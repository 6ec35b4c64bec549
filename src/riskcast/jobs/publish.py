"""Hand tables to tools outside the lake, as plain Parquet."""

from __future__ import annotations

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.lake.publish import publish_daily
from riskcast.tables import TABLES
from riskcast.tables.output import PREDICTIONS_DAILY


def publish(*, lake: Lake, settings: Settings, window: Window) -> None:
    """Publish every declared table, and one file for each forecast of the window.

    What is published is the newest state of the lake whatever the window: publishing an old day
    again never takes readers back.
    """
    root = settings.published_root
    for table in TABLES.values():
        if table.published:
            lake.publish(table, root)
    forecasts = lake.read(PREDICTIONS_DAILY)
    inside = forecasts.filter(forecasts["known_at"].is_between(window.start, window.end, "right"))
    for day in inside["date"].unique().sort():
        publish_daily(forecasts, PREDICTIONS_DAILY, root, day)
