"""Features from the lake: the newest row, and any session's row as it was known then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from riskcast.core.clock import Clock
from riskcast.core.errors import FeatureMissing, NoSuchSession, TableMissing
from riskcast.lake.base import Lake
from riskcast.online.base import FeatureRow
from riskcast.tables import Kind, Table, gold

NUMERIC = (Kind.FLOAT, Kind.INT)


def numeric(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that can be features of a model."""
    return tuple(c.name for c in table.columns if c.kind in NUMERIC)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the lake held at one version: every session with its known_at, and the newest row."""

    version: int | None = None
    sessions: Mapping[date, datetime] = field(default_factory=dict)
    newest: FeatureRow | None = None
    known_at: datetime | None = None  # of the row known last


class LakeFeatures:
    """One asset's features, read from the lake; a FeatureReader that also replays.

    The table is read again only when its version moved, so polling is cheap.
    """

    def __init__(self, lake: Lake, symbol: str, table: Table = gold.FEATURES_DAILY) -> None:
        self._lake, self._symbol, self._table = lake, symbol, table
        self._seen = _Seen()

    @property
    def sessions(self) -> Mapping[date, datetime]:
        """Sessions with stored features as of the last `latest`, each with its known_at."""
        return self._seen.sessions

    @property
    def newest_known_at(self) -> datetime | None:
        """When the row known last became known; None while nothing is stored."""
        return self._seen.known_at

    def latest(self, symbol: str) -> FeatureRow:
        """Return the newest row, looking for a new version of the table first.

        Raises
        ------
        FeatureMissing
            If nothing is stored for the symbol.
        TableMissing
            If the table was there and is gone; what was seen of it stays.
        """
        version = self._lake.version(self._table)
        if version is None and self._seen.version is not None:
            raise TableMissing(f"{self._table.name} has gone from the lake; is its folder there?")
        if version is None or version != self._seen.version:
            self._seen = self._look(version)
        newest = self._seen.newest
        if newest is None or symbol != self._symbol:
            raise FeatureMissing(f"{self._table.name} has no row of {symbol} yet")
        return newest

    def on(self, session: date) -> FeatureRow:
        """Return the row of `session` as it was known at its own known_at.

        Raises
        ------
        NoSuchSession
            If nothing is stored for that date.
        TableMissing
            If its row was there and is gone.
        """
        if session not in self.sessions:
            raise NoSuchSession(f"no features of {self._symbol} are stored for {session}")
        frame = self._lake.read(self._table, as_of=self.sessions[session])
        own = frame.filter((pl.col("symbol") == self._symbol) & (pl.col("date") == session))
        if own.is_empty():
            raise TableMissing(f"{self._table.name} has no row of {session} any more")
        return self._row(own.row(0, named=True))

    def check_session(self, asked: date, latest: date) -> None:
        """Raise NoSuchSession, naming the date to ask for, unless `asked` can be replayed."""
        if asked > latest:
            raise NoSuchSession(
                f"{asked} lies after the latest session with features; the latest valid date is "
                f"{latest}"
            )
        if asked in self.sessions:
            return
        following = min((day for day in self.sessions if day > asked), default=latest)
        first = min(self.sessions, default=latest)
        why = "lies before the first session" if asked < first else "is no session of the exchange"
        raise NoSuchSession(
            f"{asked} ({asked:%A}) {why} with features; the next valid date is {following}"
        )

    def _look(self, version: int | None) -> _Seen:
        frame = self._lake.read(self._table, as_of=Clock().now())
        frame = frame.filter(pl.col("symbol") == self._symbol).sort("date")
        if frame.is_empty():
            return _Seen(version)
        sessions = dict(zip(frame["date"].to_list(), frame["known_at"].to_list(), strict=True))
        newest = self._row(frame.row(-1, named=True))
        return _Seen(version, sessions, newest, max(sessions.values()))

    def _row(self, row: Mapping[str, Any]) -> FeatureRow:
        values = {name: _finite(row[name]) for name in numeric(self._table)}
        return FeatureRow(
            symbol=row["symbol"],
            session=row["date"],
            known_at=row["known_at"],
            values=MappingProxyType(values),
            simulated=tuple(row["simulated"] or ()),
        )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
