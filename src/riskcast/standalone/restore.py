"""Put a backup back into an empty home.

The whole backup is read and compared first. From the first byte written until the last check the
home says that it is being restored: it does not start, and is wiped when the restore is run again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pyarrow import fs

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import BackupError, BackupRefused
from riskcast.core.s3 import is_s3
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake, snapshot
from riskcast.standalone.archive import (
    ARTIFACTS,
    CHUNK,
    DATABASES,
    FILES,
    KEYS,
    LAKE,
    Manifest,
    examine,
    unpack,
)
from riskcast.standalone.backup import Tell, serving
from riskcast.standalone.dumps import databases
from riskcast.standalone.layout import Layout, connected
from riskcast.standalone.secrets import write_private
from riskcast.standalone.stack import down
from riskcast.tables import TABLES
from riskcast.tables.gold import FEATURES_DAILY

EVER = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back.

    Attributes
    ----------
    digest : str
        SHA-256 of the backup's manifest.
    """

    manifest: Manifest
    digest: str
    seconds: float


def verify(source: str, expected: str = "") -> tuple[Manifest, str]:
    """Read a whole backup; return its manifest and the digest of that.

    Raises
    ------
    BackupRefused
        If it is not whole, altered, of another format, or not the one expected.
    """
    with local(source) as path:
        return verified(path, expected)


def restore(settings: Settings, source: str, *, expected: str = "", tell: Tell) -> Restored:
    """Make the home, which must be empty, what the backup was.

    Servers are not started; `up` does that. Without keys in the backup new ones are made.

    Parameters
    ----------
    source : str
        File or ``s3://`` address.
    expected : str
        Digest of the manifest, as `backup` told it. Empty: any backup that matches itself.

    Raises
    ------
    BackupRefused
        If the backup is not whole, or home or lake hold something; nothing was touched then.
    BackupError
        If a part could not be put back, or is not what it was.
    """
    layout, began = Layout.of(settings), seconds()
    with local(source) as path:
        manifest, digest = verified(path, expected)
        tell(f"{len(manifest.members)} members match their digests; made {manifest.made_at}")
        _claim(settings, layout, digest)
        try:
            _put_back(settings, layout, path, manifest, digest, tell)
        except OSError as error:
            raise BackupError(f"{layout.home} could not be written: {error}") from error
    layout.restoring.unlink()
    return Restored(manifest, digest, seconds() - began)


def _put_back(
    settings: Settings, layout: Layout, path: Path, manifest: Manifest, digest: str, tell: Tell
) -> None:
    layout.make()
    with TemporaryDirectory(prefix="restore-", dir=layout.run) as scratch:
        unpack(path, digest, Places(settings, layout, Path(scratch)))
        remake(settings, manifest)
        tell(f"{len(manifest.tables)} tables have the content they had")
        with serving(settings, ("postgres", "redis"), tell):
            for database in databases(layout):
                database.load(Path(scratch) / f"{database.name}.dump")
            tell("databases are back")
            fill_online(connected(settings), manifest)
    tell("the online store is made anew")


def remake(settings: Settings, manifest: Manifest) -> None:
    """Check that the tables are what they were, and publish anew what follows from them.

    Raises
    ------
    BackupError
        If one is not.
    """
    _check_tables(settings, manifest)
    if FEATURES_DAILY.name in manifest.tables:
        snapshot.republish(open_lake(settings), settings)


class Places:
    """Where each member goes."""

    def __init__(self, settings: Settings, layout: Layout, dumps: Path) -> None:
        self._lake, self._root = snapshot.place(settings), settings.lake_root
        self._folders = {
            ARTIFACTS: layout.artifacts,
            FILES: layout.home,
            KEYS: layout.keys,
            DATABASES: dumps,
        }

    def __call__(self, name: str) -> IO[bytes]:
        kind, _, relative = name.partition("/")
        if kind == LAKE:
            if not is_s3(self._root):
                self._lake.create_dir(str(Path(relative).parent), recursive=True)
            stream: IO[bytes] = self._lake.open_output_stream(relative)
            return stream
        path = self._folders[kind] / relative
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = 0o600 if kind in (KEYS, DATABASES) else 0o644
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")


def _check_tables(settings: Settings, manifest: Manifest) -> None:
    lake = open_lake(settings)
    for name, wanted in manifest.tables.items():
        found = snapshot.content(lake, TABLES[name], wanted.version)
        if found != wanted or lake.version(TABLES[name]) != wanted.version:
            raise BackupError(
                f"{name} came back as {found.rows} rows, {found.sha256[:12]}; it was "
                f"{wanted.rows} rows, {wanted.sha256[:12]} at version {wanted.version}"
            )


def fill_online(settings: Settings, manifest: Manifest) -> None:
    """Bring the newest features online: the store holds nothing that the lake has not.

    Raises
    ------
    StackError
        If the store does not answer.
    """
    # Imported here: Feast alone takes seconds.
    from riskcast.online import store

    if FEATURES_DAILY.name not in manifest.tables:
        return
    until = datetime.fromisoformat(manifest.made_at)
    store.apply(settings)
    store.materialise(settings, Window(until - EVER, until))


def _claim(settings: Settings, layout: Layout, digest: str) -> None:
    """Mark the home as being restored; what an unfinished restore left goes first."""
    root, lake = settings.lake_root, snapshot.place(settings)
    if layout.restoring.exists():
        began = json.loads(layout.restoring.read_text())
        if began["lake"] != root:
            raise BackupRefused(
                f"{layout.home} was being restored with the lake {began['lake']}; set "
                "RISKCAST_LAKE to that, or remove the home"
            )
        down(settings)  # a restore that was killed leaves the servers it needed
        _wipe(layout)
        if holds(lake):
            lake.delete_dir_contents("")
    elif layout.home.exists() and any(layout.home.iterdir()):
        raise BackupRefused(
            f"{layout.home} is not empty; name an empty one with --home, or move it away"
        )
    elif holds(lake):
        raise BackupRefused(f"the lake {root} is not empty; restore to another RISKCAST_LAKE")
    layout.home.mkdir(parents=True, exist_ok=True)
    said = {"backup": digest, "lake": root, "begun_at": wall().isoformat()}
    write_private(layout.restoring, json.dumps(said))


def _wipe(layout: Layout) -> None:
    for path in layout.home.iterdir():
        if path == layout.restoring:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def holds(lake: fs.FileSystem) -> bool:
    """Whether there is anything in the lake's place."""
    return bool(lake.get_file_info(fs.FileSelector("", allow_not_found=True)))


def verified(path: Path, expected: str) -> tuple[Manifest, str]:
    """Examine a backup that this release can put back; return its manifest and the digest of it.

    Raises
    ------
    BackupRefused
        If it is not whole, another than expected, or of a release that knows more tables.
    """
    manifest, digest = examine(path)
    if unknown := sorted(set(manifest.tables) - set(TABLES)):
        raise BackupRefused(
            f"the backup holds tables that this Riskcast does not know: {', '.join(unknown)}; "
            f"restore with the release that made it: {dict(manifest.software)}"
        )
    if expected and digest != expected:
        raise BackupRefused(f"the backup is {digest}, not {expected}")
    return manifest, digest


@contextmanager
def local(source: str) -> Iterator[Path]:
    """Give the backup as a file of this machine: it is read twice."""
    if not is_s3(source):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="riskcast-restore-") as folder:
        path = Path(folder) / "backup.tar"
        place, _, name = source.rpartition("/")
        try:
            with snapshot.root_of(place).open_input_stream(name) as stream, path.open("wb") as file:
                while chunk := stream.read(CHUNK):
                    file.write(chunk)
        except OSError as error:
            raise BackupRefused(f"{source} cannot be read: {error}") from error
        yield path
