"""Plain Parquet for other tools, one file per year, switched so that no reader sees half a set.

In a folder the files of a table go to ``.versions/<table>/<digest>/`` and ``<table>`` is a symbolic
link to it, moved by one atomic rename. The version before stays until the next switch, so a reader
that resolves the link once reads one whole version.

S3 has no rename. Each file is one atomic put and only files that changed are put, so the ordinary
daily publish, which changes the current year, is as atomic as in a folder. When several years
change, a reader may for a moment see new and old years side by side, never part of a file;
``.manifests/<table>.json`` names the digest of every file and is complete only between publishes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
from pyarrow import fs

from riskcast.core.errors import LakeError
from riskcast.lake.s3 import bucket_path, filesystem, is_s3, s3_options
from riskcast.tables import Table
from riskcast.tables.spec import INGESTED_AT

ROW_GROUP = 65_536


def publish(
    frame: pl.DataFrame, table: Table, root: str, storage_options: Mapping[str, str] | None = None
) -> str:
    """Publish the rows as ``<root>/<table>/year=<year>/part-0.parquet``; return the folder.

    Rows are those of a read, sorted by key; `ingested_at` is left out. The same rows give the same
    bytes, and files that would not change are left alone. No rows give one file without rows, so
    that readers find the columns.

    Parameters
    ----------
    root : str
        A folder or ``s3://bucket/prefix``.
    storage_options : mapping, optional
        How to reach S3, in the names of Delta Lake; from the environment when None.

    Raises
    ------
    LakeError
        If something that is no published version stands in the table's place, or the place cannot
        be written; the version before still reads.
    """
    files = partitions(frame, table)
    with _named(table, root):
        if is_s3(root):
            bucket = filesystem(s3_options() if storage_options is None else storage_options)
            _publish_bucket(bucket, bucket_path(root), table, files)
        else:
            _publish_folder(Path(root).absolute(), table, files)
    return f"{root.rstrip('/')}/{table.name}"


def publish_daily(
    frame: pl.DataFrame,
    table: Table,
    root: str,
    day: date,
    storage_options: Mapping[str, str] | None = None,
) -> str:
    """Write the rows about `day` as ``<root>/<table>_<YYYYMMDD>.parquet``; return its path.

    The file appears, or is replaced, whole.

    Raises
    ------
    LakeError
        If no row is about that day, or the place cannot be written.
    """
    rows = frame.filter(pl.col(table.time).cast(pl.Date) == day)
    if rows.is_empty():
        raise LakeError(f"{table.name} has no rows of {day}; run the step that writes it first")
    name, content = f"{table.name}_{day:%Y%m%d}.parquet", _parquet(rows, table)
    with _named(table, root):
        if is_s3(root):
            bucket = filesystem(s3_options() if storage_options is None else storage_options)
            _put(bucket, f"{bucket_path(root)}/{name}", content)
        else:
            folder = Path(root).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            beside = folder / f".{name}.{os.getpid()}"
            _write(beside, content)
            beside.replace(folder / name)
    return f"{root.rstrip('/')}/{name}"


def partitions(frame: pl.DataFrame, table: Table) -> dict[str, bytes]:
    """Return the Parquet content of each file, by its path below the table's folder."""
    if frame.is_empty():
        return {"part-0.parquet": _parquet(frame, table)}
    year = pl.col(table.time).dt.year()
    return {
        f"year={value}/part-0.parquet": _parquet(frame.filter(year == value), table)
        for value in frame.select(year.unique().sort()).to_series()
    }


def content_hash(frame: pl.DataFrame, table: Table) -> str:
    """Return a digest of the rows of a read: equal for equal content, bookkeeping apart."""
    return _digest(_parquet(frame, table))


def _parquet(frame: pl.DataFrame, table: Table) -> bytes:
    columns = [column.name for column in table.every_column if column != INGESTED_AT]
    content = BytesIO()
    # Chunks and row groups show in the bytes, so both are fixed.
    frame.select(columns).rechunk().write_parquet(
        content, compression="zstd", row_group_size=ROW_GROUP
    )
    return content.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _named(table: Table, root: str) -> Iterator[None]:
    """Say which table could not be published where: a full disk knows only a number."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{table.name} could not be published to {root}; the version before still reads: "
            f"{error}"
        ) from error


def _publish_folder(root: Path, table: Table, files: Mapping[str, bytes]) -> None:
    link = root / table.name
    versions = root / ".versions" / table.name
    versions.mkdir(parents=True, exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise LakeError(f"{link} is no published version of {table.name}; move it away")
    listing = "".join(f"{name} {_digest(content)}\n" for name, content in files.items())
    version = versions / _digest(listing.encode())[:16]
    with _alone(versions):
        before = link.resolve() if link.exists() else None
        if version == before:
            return
        if not version.exists():
            _build(version, before, files)
        beside = root / f".{table.name}.{os.getpid()}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(version.relative_to(root))
        beside.replace(link)
        for other in versions.iterdir():
            if other.is_dir() and other not in (version, before):
                shutil.rmtree(other)


def _build(version: Path, before: Path | None, files: Mapping[str, bytes]) -> None:
    """Make the folder of a version whole, sharing unchanged files with the version before."""
    building = Path(mkdtemp(prefix=".building-", dir=version.parent))
    for name, content in files.items():
        path = building / name
        path.parent.mkdir(exist_ok=True)
        old = before / name if before else None
        if old and old.exists() and old.read_bytes() == content:
            path.hardlink_to(old)
        else:
            _write(path, content)
    building.chmod(0o755)
    building.rename(version)  # what a build that failed leaves goes with the next switch


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against other publishers; the system lets go when the process ends."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _publish_bucket(
    bucket: fs.FileSystem, prefix: str, table: Table, files: Mapping[str, bytes]
) -> None:
    manifest = f"{prefix}/.manifests/{table.name}.json"
    folder = f"{prefix}/{table.name}"
    found = {
        info.path.removeprefix(f"{folder}/"): info.size
        for info in bucket.get_file_info(
            fs.FileSelector(folder, allow_not_found=True, recursive=True)
        )
        if info.type == fs.FileType.File
    }
    before = _read_manifest(bucket, manifest)
    digests = {name: _digest(content) for name, content in files.items()}
    same = {
        name: digest
        for name, digest in digests.items()
        if before.get(name) == digest and found.get(name) == len(files[name])
    }
    gone = sorted(set(found) - set(files))
    if same == digests == before and not gone:
        return
    # The manifest never vouches for a file about to change: a publish that dies is redone.
    _put(bucket, manifest, _json(same))
    for name in sorted(set(files) - set(same)):
        _put(bucket, f"{folder}/{name}", files[name])
    for name in gone:
        bucket.delete_file(f"{folder}/{name}")
    _put(bucket, manifest, _json(digests))


def _read_manifest(bucket: fs.FileSystem, path: str) -> dict[str, str]:
    if bucket.get_file_info(path).type == fs.FileType.NotFound:
        return {}
    with bucket.open_input_stream(path) as stream:
        return dict(json.loads(stream.read()))


def _json(digests: Mapping[str, str]) -> bytes:
    return json.dumps(digests, indent=1, sort_keys=True).encode()


def _put(bucket: fs.FileSystem, path: str, content: bytes) -> None:
    with bucket.open_output_stream(path) as stream:
        stream.write(content)
