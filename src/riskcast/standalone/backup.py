"""Take a backup of an installation, also while it runs and writes.

What is taken, in this order: answers not yet in the lake; the versions of all tables; the
databases, each as of one instant; the tables' files up to those versions; models; pages and mails.
So nothing that a later part names is missing from an earlier one that it needs: every model of the
registry has its files, every ledger entry its model. Left out is what follows from the rest:
published Parquet and the online store are made anew from the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import fs

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import BackupError, BackupRefused
from riskcast.core.s3 import is_s3
from riskcast.core.settings import Settings
from riskcast.lake import open_lake, snapshot
from riskcast.lake.snapshot import Content
from riskcast.registry.signature import PUBLIC
from riskcast.standalone import postgres
from riskcast.standalone.archive import (
    ARTIFACTS,
    CHUNK,
    DATABASES,
    FILES,
    FORMAT,
    KEYS,
    LAKE,
    Manifest,
    Writer,
    written,
)
from riskcast.standalone.configure import configure
from riskcast.standalone.dumps import Database, databases
from riskcast.standalone.layout import Layout
from riskcast.standalone.processes import declare
from riskcast.standalone.stack import down, running, up
from riskcast.tables import TABLES

SPOOL = "spool"
FOLDERS = ("reports", "alerts", "inbox", "snapshots")  # of <home>, beside the spool
SOFTWARE = ("riskcast", "mlflow", "apache-airflow", "deltalake")
DRAFTS = (".draft", ".new")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made.

    Attributes
    ----------
    path : str
        File or ``s3://`` address.
    digest : str
        SHA-256 of its manifest.
    """

    path: str
    digest: str
    size: int
    manifest: Manifest
    seconds: float


def backup(settings: Settings, to: str, *, with_keys: bool, tell: Tell) -> Made:
    """Write a backup to a file, folder or bucket; it appears whole or not at all.

    Parameters
    ----------
    to : str
        A file that ends in .tar, else a folder; either may be ``s3://bucket/...``.
    with_keys : bool
        Whether to take passwords and private keys too. Without them the restored installation has
        new ones, trusts the models signed with the old key, and issues new API keys.

    Raises
    ------
    BackupError
        If there is nothing to back up, or a part cannot be read or written.
    """
    layout = Layout.of(settings)
    if layout.restoring.exists() or not postgres.data(layout).exists():
        raise BackupError(f"{layout.home} holds no whole stack to back up; `riskcast up` makes one")
    with serving(settings, ("postgres",), tell):
        return write(
            to, lambda *into: _fill(*into, settings=settings, with_keys=with_keys, tell=tell)
        )


def write(to: str, fill: Callable[[Writer, Path], Manifest]) -> Made:
    """Write what `fill` adds, given a folder for drafts, and the manifest it returns.

    Raises
    ------
    BackupError
        If it cannot be written.
    """
    began, target = seconds(), _target(to)
    with TemporaryDirectory(prefix="riskcast-backup-") as scratch:
        folder = Path(scratch) if is_s3(target) else Path(target).parent
        path = folder / Path(target).name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with written(path) as file:
                writer = Writer(file)
                manifest = fill(writer, Path(scratch))
                digest = writer.close(manifest.to_json())
            if is_s3(target):
                _upload(path, target)
        except OSError as error:
            raise BackupError(f"the backup could not be written to {target}: {error}") from error
        size = path.stat().st_size
    return Made(target, digest, size, manifest, seconds() - began)


@contextmanager
def serving(settings: Settings, names: Sequence[str], tell: Tell) -> Iterator[None]:
    """Have servers of the stack run for the block; what runs already is left as it is.

    Raises
    ------
    StackError
        If one does not become healthy.
    """
    if running(settings):
        yield
        return
    layout = Layout.of(settings)
    layout.make()
    configure(settings, layout, tell)
    wanted = [each for each in declare(settings, layout) if each.name in names]
    try:
        up(settings, processes=wanted)
        yield
    finally:
        down(settings)


def _fill(
    writer: Writer, scratch: Path, *, settings: Settings, with_keys: bool, tell: Tell
) -> Manifest:
    layout = Layout.of(settings)
    made_at, pins = add_answers(writer, settings)
    add_databases(writer, databases(layout), scratch, secrets=with_keys)
    tell(f"{len(postgres.DATABASES)} databases, {len(pins)} tables pinned")
    contents = add_files(writer, settings, pins)
    public = settings.model_key_path
    taken = [p for p in sorted(layout.keys.iterdir()) if p.is_file()] if with_keys else []
    for path in taken or ([public] if public.exists() else []):
        writer.add_file(f"{KEYS}/{PUBLIC if path == public else path.name}", path)
    tell(f"{len(writer.members)} files")
    made = made_at.isoformat()
    return Manifest(FORMAT, made, software(), with_keys, contents, writer.members)


def software() -> dict[str, str]:
    """Return the versions of what writes the databases and the lake."""
    return {name: version(name) for name in SOFTWARE}


def add_answers(writer: Writer, settings: Settings) -> tuple[datetime, dict[str, int]]:
    """Add the answers not yet in the lake; return the instant and versions chosen after that."""
    _folder(writer, settings.home_path, SPOOL)
    return wall(), snapshot.pin(open_lake(settings))


def add_databases(
    writer: Writer, databases: Sequence[Database], scratch: Path, *, secrets: bool
) -> None:
    """Add each database as it is at one instant."""
    for database in databases:
        dump = scratch / f"{database.name}.dump"
        database.dump(dump, secrets=secrets)
        writer.add_file(f"{DATABASES}/{dump.name}", dump)
        dump.unlink()


def add_files(writer: Writer, settings: Settings, pins: Mapping[str, int]) -> dict[str, Content]:
    """Add the tables up to the versions, models, pages and mails; return the tables' content."""
    layout, contents = Layout.of(settings), _tables(writer, settings, pins)
    _folder(writer, layout.artifacts, "", to=ARTIFACTS)
    for name in FOLDERS:
        _folder(writer, layout.home, name)
    return contents


def _tables(writer: Writer, settings: Settings, pins: Mapping[str, int]) -> dict[str, Content]:
    lake, root = open_lake(settings), snapshot.place(settings)
    contents = {}
    for name, number in pins.items():
        for path in snapshot.files(root, TABLES[name], number):
            _add(writer, root, path)
        contents[name] = snapshot.content(lake, TABLES[name], number)
    for path in snapshot.run_files(root):
        _add(writer, root, path)
    return contents


def _add(writer: Writer, root: fs.FileSystem, path: str) -> None:
    with root.open_input_file(path) as stream:
        writer.add(f"{LAKE}/{path}", stream, stream.size())


def _folder(writer: Writer, home: Path, name: str, *, to: str = "") -> None:
    """Add a folder's files; one that goes while we look has been taken to where it belongs."""
    for path in sorted((home / name).rglob("*")):
        if path.suffix in DRAFTS or path.is_symlink() or not path.is_file():
            continue
        relative = path.relative_to(home).as_posix()
        try:
            writer.add_file(f"{to or FILES}/{relative}", path)
        except FileNotFoundError:
            continue


def _target(to: str) -> str:
    name = f"riskcast-{wall():%Y%m%dT%H%M%SZ}.tar"
    target = to if to.endswith(".tar") else f"{to.rstrip('/')}/{name}"
    if not is_s3(target) and Path(target).exists():
        raise BackupRefused(f"{target} exists; backups are never overwritten")
    return target


def _upload(path: Path, target: str) -> None:
    """Put a file into a bucket: the object appears when the last part has arrived."""
    folder, _, name = target.rpartition("/")
    with path.open("rb") as file, snapshot.root_of(folder).open_output_stream(name) as stream:
        while chunk := file.read(CHUNK):
            stream.write(chunk)
