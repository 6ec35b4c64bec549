"""Forecasts that were published, newest state of `predictions_daily`, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from riskcast.core.clock import Clock
from riskcast.lake.base import Lake
from riskcast.models.calibration import LEVELS
from riskcast.tables import output

SLOT = "champion"


class History:
    """One asset's published forecasts; read again only when the table's version moved."""

    def __init__(self, lake: Lake, symbol: str) -> None:
        self._lake, self._symbol = lake, symbol
        self._version: int | None = None
        self._rows: Sequence[dict[str, Any]] = ()

    @property
    def loaded(self) -> bool:
        """Whether the table has been looked at, be it empty."""
        return self._version is not None

    def look(self) -> None:
        """Read the table if it has a new version; called in the background."""
        version = self._lake.version(output.PREDICTIONS_DAILY)
        if version is None or version == self._version:
            return
        frame = self._lake.read(output.PREDICTIONS_DAILY, as_of=Clock().now())
        own = (pl.col("symbol") == self._symbol) & (pl.col("slot") == SLOT)
        rows = [_shown(row) for row in frame.filter(own).sort("date").iter_rows(named=True)]
        self._rows, self._version = rows, version

    def between(self, start: date | None, end: date | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest `limit` forecasts of the sessions from start to end, ascending."""
        found = [
            row
            for row in self._rows
            if (start is None or row["date"] >= start) and (end is None or row["date"] <= end)
        ]
        return found[-limit:]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("date", "symbol", "rv_5d_hat", "rv_5d_annualised")},
        # Forecasts of earlier releases lack the ends of some levels.
        "intervals": {
            str(level): [row[f"lo_{level}"], row[f"hi_{level}"]]
            for level in LEVELS
            if row[f"lo_{level}"] is not None
        },
        "regime_probs": {name: row[f"p_{name}"] for name in ("calm", "transition", "risk_off")},
        "top_drivers": row["top_drivers"],
        "explanation": row["explanation"],
        "model_version": row["model_version"],
        "known_at": row["known_at"],
    }
