"""Is what should have arrived there? Ages by the table's own promise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from riskcast.core.window import Window
from riskcast.monitoring.findings import ALARM, OK, Finding
from riskcast.products import Product
from riskcast.tables import Table, output

HOUR = 3600.0


def freshness(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    predictions: pl.DataFrame,
    due: list[datetime],
    window: Window,
    product: Product,
) -> Iterator[Finding]:
    """Yield the age of each table's newest row at each session, and at the window's end if stale.

    A table that promises no age is left out. Where nothing new came in the window, only its end
    tells: without it a source that fell silent would never be found.
    """
    tables = (
        (product.features, features),
        (product.labels, labels),
        (output.PREDICTIONS_DAILY, predictions),
    )
    for table, frame in tables:
        if table.fresh is None or frame.is_empty():
            continue
        known = frame["known_at"].sort()
        at_end = _age(table, known, window.end)
        if at_end.verdict == ALARM:
            yield at_end
        for at in due:
            if known[0] <= at and at != window.end:
                yield _age(table, known, at)


def _age(table: Table, known: pl.Series, at: datetime) -> Finding:
    assert table.fresh is not None  # noqa: S101  the caller leaves such tables out
    newest = known.filter(known <= at).max()
    assert isinstance(newest, datetime)  # noqa: S101
    hours, limit = (at - newest).total_seconds() / HOUR, table.fresh.total_seconds() / HOUR
    verdict = ALARM if hours > limit else OK
    why = f"newest row of {table.name} is {hours:.0f} hours old; {limit:.0f} are allowed"
    return Finding("freshness", table.name, at, hours, limit, verdict, why)
