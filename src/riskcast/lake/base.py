"""What a lake is: declared tables, written whole windows at a time, read as of an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from riskcast.core.window import Window
from riskcast.tables import Table


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of a table: when it was made and by which operation."""

    version: int
    at: datetime
    operation: str


class Lake(Protocol):
    """Declared tables with versions.

    Every write checks the table's contract first and is one atomic commit. A write that would
    leave the content as it is (bookkeeping such as `ingested_at` apart) makes no new version.
    """

    def read(
        self,
        table: Table,
        *,
        as_of: datetime | None = None,
        all_vintages: bool = False,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Return rows with ``known_at <= as_of``, sorted by key.

        For a table with vintages only the vintage known last by then is returned for each key,
        unless `all_vintages`. `version` reads the table as an earlier commit left it. A table
        never written gives no rows, with the declared schema.

        Raises
        ------
        TableMissing
            If a version is asked of a table never written.
        LakeError
            If there is no such version.
        SettingsError
            If `as_of` has no time zone.
        """
        ...

    def write(self, table: Table, frame: pl.DataFrame, window: Window) -> int:
        """Write the rows of `frame` that became known in `window`; return the table's version.

        `Write.REPLACE` makes the table's rows of the window exactly these, `Write.UPSERT` adds or
        replaces by key (with vintages: by key and known_at), `Write.APPEND` only adds keys not
        there yet. `ingested_at` is stamped here. Rows known outside the window are ignored, so a
        function may return all of history and the window decides.

        Raises
        ------
        ContractBroken
            If a column, type, bound, choice or key of the declaration is broken.
        WriteConflict
            If concurrent writers won on every retry.
        """
        ...

    def version(self, table: Table) -> int | None:
        """Return the version of the newest commit, None if the table was never written."""
        ...

    def history(self, table: Table) -> tuple[Commit, ...]:
        """Return the commits of the table, newest first; none if it was never written."""
        ...

    def publish(self, table: Table, root: str) -> str:
        """Write the latest rows as plain Parquet partitioned by year; return its folder.

        Readers never see a half-written set: files are written beside and switched at the end.
        """
        ...
