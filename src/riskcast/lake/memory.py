"""A lake in memory: the same promises, gone with the process."""

from __future__ import annotations

from datetime import datetime
from threading import Lock

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import LakeError, TableMissing
from riskcast.core.window import Window
from riskcast.lake import publish as parquet
from riskcast.lake.arrow import empty
from riskcast.lake.base import Commit
from riskcast.lake.rows import apply, declared, offered, plan, refuse_newer, view
from riskcast.tables import Table


class MemoryLake:
    """Keeps every version of every table as a frame. Safe to share between threads."""

    def __init__(self) -> None:
        self._versions: dict[str, list[pl.DataFrame]] = {}
        self._commits: dict[str, list[Commit]] = {}
        self._lock = Lock()

    def read(
        self,
        table: Table,
        *,
        as_of: datetime | None = None,
        all_vintages: bool = False,
        version: int | None = None,
    ) -> pl.DataFrame:
        versions = self._versions.get(table.name, [])
        if version is not None and not versions:
            raise TableMissing(f"{table.name} was never written, so it has no version {version}")
        if version is not None and not 0 <= version < len(versions):
            raise LakeError(f"{table.name} has no version {version}; newest is {len(versions) - 1}")
        stored = versions[-1 if version is None else version] if versions else empty(table)
        return view(table, declared(table, stored), as_of, all_vintages=all_vintages)

    def write(self, table: Table, frame: pl.DataFrame, window: Window) -> int:
        rows = offered(table, frame, window)
        with self._lock:
            versions = self._versions.setdefault(table.name, [])
            if not versions:
                self._append(table, rows, "CREATE")
                return 0
            refuse_newer(table, versions[-1].columns)
            stored = declared(table, versions[-1])
            change = plan(table, stored, rows, window)
            if change is not None:
                self._append(table, apply(table, stored, change, window), change.action)
            return len(versions) - 1

    def version(self, table: Table) -> int | None:
        versions = self._versions.get(table.name)
        return len(versions) - 1 if versions else None

    def history(self, table: Table) -> tuple[Commit, ...]:
        return tuple(reversed(self._commits.get(table.name, [])))

    def _append(self, table: Table, rows: pl.DataFrame, operation: str) -> None:
        versions = self._versions.setdefault(table.name, [])
        commits = self._commits.setdefault(table.name, [])
        commits.append(Commit(len(versions), wall(), str(operation)))
        versions.append(rows)

    def publish(self, table: Table, root: str) -> str:
        return parquet.publish(self.read(table), table, root)
