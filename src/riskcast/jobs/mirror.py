"""Keep a copy of the forecasts where other services look them up."""

from __future__ import annotations

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.lake.rows import inside
from riskcast.online.mirror import put_rows
from riskcast.tables.output import PREDICTIONS_DAILY


def mirror(*, lake: Lake, settings: Settings, window: Window) -> None:
    """Put the window's forecasts into the table of ``RISKCAST_DYNAMODB_TABLE``; none without it.

    Running it again puts the same items: a published forecast stands.

    Raises
    ------
    StackError
        If DynamoDB does not answer or has no such table.
    """
    if settings.dynamodb_table:
        rows = lake.read(PREDICTIONS_DAILY, as_of=window.as_of).filter(inside(window))
        put_rows(rows, PREDICTIONS_DAILY, settings.dynamodb_table)
