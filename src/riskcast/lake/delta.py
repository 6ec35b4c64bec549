"""The lake on Delta Lake: a folder or an S3 prefix, one Delta table per declared table.

Every commit is a compare-and-swap on the version it was planned from. A writer that loses reads
again, plans again and tries again, so two writers never undo each other. Writers of a folder wait
for each other besides; correctness does not rest on that lock, only that none starves.
Frames are read by Polars: deltalake's own pyarrow readers abort the process when it exits.
"""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from riskcast.core.errors import LakeError, TableMissing, WriteConflict
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import publish as parquet
from riskcast.lake.arrow import empty, schema
from riskcast.lake.base import Commit
from riskcast.lake.contract import identity
from riskcast.lake.rows import Action, Change, declared, offered, plan, refuse_newer, view
from riskcast.lake.s3 import is_s3, s3_options
from riskcast.tables import Table

TRIES = 10
LONGEST_PAUSE_SECONDS = 1.0
# A day's write adds one small file; past this many they are merged, up to this size each, so
# that twenty years of days neither slow reads nor rewrite the whole table at every merge.
MANY_FILES = 100
FILE_BYTES = 8_000_000

# No retries inside deltalake: its own conflict rules let two overwrites of one window both win.
COMPARE_AND_SWAP = CommitProperties(max_commit_retries=0)
# Any past version stays readable, so logs are kept and files never vacuumed.
KEEP_LOGS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
KEEP_VERSIONS = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


class DeltaLake:
    """Declared tables below `root`.

    Parameters
    ----------
    root : str
        A folder, or ``s3://bucket/prefix``.
    storage_options : mapping, optional
        How to reach S3, in the names of Delta Lake; from the environment when None.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._options: dict[str, str] | None = None
        if is_s3(root):
            self.root = root.rstrip("/")
            self._options = s3_options() if storage_options is None else dict(storage_options)
        else:
            self.root = str(Path(root).absolute())

    def read(
        self,
        table: Table,
        *,
        as_of: datetime | None = None,
        all_vintages: bool = False,
        version: int | None = None,
    ) -> pl.DataFrame:
        delta = self._open(table, version)
        stored = empty(table) if delta is None else self._rows(table, delta)
        return view(table, stored, as_of, all_vintages=all_vintages)

    def write(self, table: Table, frame: pl.DataFrame, window: Window) -> int:
        rows = offered(table, frame, window)
        for attempt in range(TRIES):
            try:
                with self._alone(table):
                    return self._write_once(table, rows, window)
            except CommitFailedError:
                pause = min(LONGEST_PAUSE_SECONDS, 0.02 * 2**attempt)
                time.sleep(random.uniform(0.0, pause))  # noqa: S311 - spreads writers, no secret
            except (DeltaError, OSError) as error:
                raise LakeError(
                    f"{table.name} could not be written to {self._uri(table)}; "
                    f"the version before still reads: {error}"
                ) from error
        raise WriteConflict(
            f"{table.name}: other writers won {TRIES} times in a row at {self._uri(table)}; "
            "run the step again when they are done"
        )

    def version(self, table: Table) -> int | None:
        delta = self._open(table)
        return None if delta is None else int(delta.version())

    def publish(self, table: Table, root: str) -> str:
        return parquet.publish(self.read(table), table, root, self._options)

    def history(self, table: Table) -> tuple[Commit, ...]:
        delta = self._open(table)
        return tuple(
            Commit(
                int(entry["version"]),
                datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                str(entry["operation"]),
            )
            for entry in (() if delta is None else delta.history())
        )

    def compact(self, table: Table) -> int:
        """Merge small files; return the table's version. Earlier versions stay readable.

        Raises
        ------
        TableMissing
            If the table was never written.
        WriteConflict
            If a writer committed meanwhile; its rows stand and nothing was merged.
        """
        delta = self._open(table)
        if delta is None:
            raise TableMissing(f"{table.name} was never written to {self._uri(table)}")
        try:
            with self._alone(table):
                delta.update_incremental()
                _compact(delta)
        except CommitFailedError as error:
            raise WriteConflict(f"{table.name}: a writer committed meanwhile; {error}") from error
        return int(delta.version())

    def _write_once(self, table: Table, rows: pl.DataFrame, window: Window) -> int:
        delta = self._open(table)
        if delta is None:
            return self._create(table, rows)
        refuse_newer(table, [field.name for field in delta.schema().fields])
        change = plan(table, self._rows(table, delta), rows, window)
        if change is None:
            return int(delta.version())
        _add_columns(table, delta)
        _commit(table, delta, change, window)
        if len(delta.file_uris()) > MANY_FILES:
            _compact_if_quiet(delta)
        return int(delta.version())

    def _create(self, table: Table, rows: pl.DataFrame) -> int:
        try:
            write_deltalake(
                self._uri(table),
                rows,
                mode="error",
                name=table.name,
                description=table.doc,
                configuration=KEEP_VERSIONS,
                storage_options=self._options,
                commit_properties=COMPARE_AND_SWAP,
                post_commithook_properties=KEEP_LOGS,
            )
        except DeltaError as error:
            if self._open(table) is None:
                raise
            raise CommitFailedError(f"another writer created {table.name} first") from error
        return 0

    def _open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        uri = self._uri(table)
        try:
            delta = DeltaTable(uri, storage_options=self._options)
            if version is None:
                return delta
            if not 0 <= version <= delta.version():
                raise LakeError(
                    f"{table.name} has no version {version}; newest is {delta.version()}"
                )
            delta.load_as_version(version)
        except TableNotFoundError as error:
            if version is None:
                return None
            raise TableMissing(
                f"{table.name} was never written to {uri}, so it has no version {version}"
            ) from error
        except (DeltaError, OSError) as error:
            raise LakeError(f"{table.name} cannot be opened at {uri}: {error}") from error
        return delta

    def _rows(self, table: Table, delta: DeltaTable) -> pl.DataFrame:
        """Every stored row of the version opened, with the declared columns.

        Not through `polars.scan_delta`: it looks for the escaped path, so a folder with a space in
        its name would not be found.
        """
        if features := delta.protocol().reader_features:
            raise LakeError(
                f"{self._uri(table)} asks readers for {', '.join(features)}, which another tool "
                "turned on; only plain Delta tables are read"
            )
        stored = pl.Schema(delta.schema())
        files = delta.file_uris()
        if not files:
            return declared(table, pl.DataFrame(schema=stored))
        if not is_s3(self.root):
            files = [unquote(file) for file in files]
        rows = pl.scan_parquet(
            files,
            schema=stored,
            missing_columns="insert",
            glob=False,
            hive_partitioning=False,
            storage_options=self._options,
        )
        return declared(table, rows.collect())

    @contextmanager
    def _alone(self, table: Table) -> Iterator[None]:
        """Wait for other writers of the folder; the system lets go when a process ends.

        Commits that raced would be refused and tried again, and of many writers one might never
        win. Writers of a bucket have only that.
        """
        if self._options is not None:
            yield
            return
        locks = Path(self.root) / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / table.name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _uri(self, table: Table) -> str:
        return f"{self.root}/{table.path}"


def open_lake(settings: Settings) -> DeltaLake:
    """Return the lake that the settings name."""
    return DeltaLake(settings.lake_root)


def _commit(table: Table, delta: DeltaTable, change: Change, window: Window) -> None:
    if change.action == Action.MERGE:
        same = " AND ".join(f't."{name}" = s."{name}"' for name in identity(table))
        merger = delta.merge(
            change.rows,
            same,
            source_alias="s",
            target_alias="t",
            commit_properties=COMPARE_AND_SWAP,
            post_commithook_properties=KEEP_LOGS,
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()
        return
    swap = change.action == Action.SWAP
    write_deltalake(
        delta,
        change.rows,
        mode="overwrite" if swap else "append",
        predicate=_inside(window) if swap else None,
        commit_properties=COMPARE_AND_SWAP,
        post_commithook_properties=KEEP_LOGS,
    )


def _inside(window: Window) -> str:
    start, end = (
        instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        for instant in (window.start, window.end)
    )
    return f"known_at > '{start}' AND known_at <= '{end}'"


def _add_columns(table: Table, delta: DeltaTable) -> None:
    """Give the stored table the columns declared since it was made."""
    stored = {field.name for field in delta.schema().fields}
    wanted = Schema.from_arrow(schema(table)).fields
    if added := [field for field in wanted if field.name not in stored]:
        delta.alter.add_columns(added, commit_properties=COMPARE_AND_SWAP)


def _compact(delta: DeltaTable) -> None:
    delta.optimize.compact(
        target_size=FILE_BYTES,
        commit_properties=COMPARE_AND_SWAP,
        post_commithook_properties=KEEP_LOGS,
    )


def _compact_if_quiet(delta: DeltaTable) -> None:
    """Merge small files unless a writer came in between: then the next write merges them."""
    try:
        _compact(delta)
    except CommitFailedError:
        delta.update_incremental()
