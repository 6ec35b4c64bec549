"""The lake as it was at chosen versions, file by file: what a backup takes and gives back.

Delta tables only ever gain files: a commit adds data files and then names them in one log entry,
and neither is changed later. So the log up to a version, with every file it ever named, is that
version and all before it, however many writers go on meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyarrow import fs

from riskcast.core.errors import LakeError, TableMissing
from riskcast.core.settings import Settings
from riskcast.lake.base import Lake
from riskcast.lake.publish import content_hash, publish_daily
from riskcast.lake.s3 import bucket_path, filesystem, is_s3, s3_options
from riskcast.tables import TABLES, Table
from riskcast.tables.output import PREDICTIONS_DAILY

LOG = "_delta_log"
RUNS = "runs"  # one JSON file a run of a step: which versions it read and wrote


@dataclass(frozen=True, slots=True)
class Content:
    """A table at a version.

    Attributes
    ----------
    sha256 : str
        `content_hash` of every row with every vintage.
    """

    version: int
    rows: int
    sha256: str


def place(settings: Settings) -> fs.FileSystem:
    """Return the lake's root, folder or bucket, as a file system whose paths start there."""
    return root_of(settings.lake_root)


def root_of(root: str) -> fs.FileSystem:
    """Return a folder or ``s3://bucket/prefix`` as a file system whose paths start there."""
    if is_s3(root):
        return fs.SubTreeFileSystem(bucket_path(root), filesystem(s3_options()))
    return fs.SubTreeFileSystem(str(Path(root).absolute()), fs.LocalFileSystem())


def pin(lake: Lake) -> dict[str, int]:
    """Return the newest version of every table that was ever written, by name."""
    found = {name: lake.version(table) for name, table in TABLES.items()}
    return {name: version for name, version in found.items() if version is not None}


def content(lake: Lake, table: Table, version: int) -> Content:
    """Return what identifies the table's content at a version.

    Raises
    ------
    LakeError
        If it cannot be read.
    """
    rows = lake.read(table, all_vintages=True, version=version)
    return Content(version, rows.height, content_hash(rows, table))


def files(lake_root: fs.FileSystem, table: Table, version: int) -> list[str]:
    """Return the files that are the table up to a version: data first, its log in order, last.

    Raises
    ------
    TableMissing
        If the table was never written.
    LakeError
        If an entry of its log up to there is missing.
    """
    folder = f"{table.path}/{LOG}"
    if lake_root.get_file_info(folder).type == fs.FileType.NotFound:
        raise TableMissing(f"{table.name} was never written to the lake")
    names = sorted(info.base_name for info in lake_root.get_file_info(fs.FileSelector(folder)))
    logs = [name for name in names if name.endswith(".json") and _number(name) <= version]
    if [_number(name) for name in logs] != list(range(version + 1)):
        raise LakeError(
            f"{table.name}: {folder} lacks entries of its log up to version {version}; was it "
            "cleaned by another tool?"
        )
    data = _named(_read(lake_root, f"{folder}/{name}") for name in logs)
    checkpoints = [n for n in names if ".checkpoint" in n and 0 <= _number(n) <= version]
    return [
        *(f"{table.path}/{path}" for path in data),
        *(f"{folder}/{name}" for name in (*checkpoints, *logs)),
    ]


def run_files(lake_root: fs.FileSystem) -> list[str]:
    """Return the files that say what runs read and wrote."""
    wanted = fs.FileSelector(RUNS, allow_not_found=True, recursive=True)
    return sorted(
        info.path
        for info in lake_root.get_file_info(wanted)
        if info.type == fs.FileType.File and info.path.endswith(".json")
    )


def republish(lake: Lake, settings: Settings) -> None:
    """Publish all that the lake holds for other tools, as it was: it follows from the tables.

    Raises
    ------
    LakeError
        If the place cannot be written.
    """
    for table in TABLES.values():
        if table.published:
            lake.publish(table, settings.published_root)
    forecasts = lake.read(PREDICTIONS_DAILY)
    for day in forecasts["date"].unique().sort():
        publish_daily(forecasts, PREDICTIONS_DAILY, settings.published_root, day)


def _named(entries: Iterable[bytes]) -> list[str]:
    """Return every data file that log entries add, each once, in order."""
    found: dict[str, None] = {}
    for entry in entries:
        for line in entry.splitlines():
            action: dict[str, Any] = json.loads(line)
            if added := action.get("add"):
                found[unquote(added["path"])] = None
    return list(found)


def _read(lake_root: fs.FileSystem, path: str) -> bytes:
    with lake_root.open_input_stream(path) as stream:
        return bytes(stream.read())


def _number(name: str) -> int:
    """Return the version a file of a log is about; -1 for what is about none."""
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else -1
