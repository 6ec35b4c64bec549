"""Backup and restore of the compose project, in the one format of all backups.

Volumes are read and written in a container that has them all, the `keeper`; databases by the
programs beside their own server; keys in the checkout's folder of secrets. The order in which parts
are taken is that of `backup`. Nothing but Docker is asked, so it works wherever the engine runs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import BackupError, BackupRefused
from riskcast.core.settings import Settings
from riskcast.lake.snapshot import Content
from riskcast.registry.signature import PUBLIC
from riskcast.standalone import compose, postgres
from riskcast.standalone.archive import (
    ARTIFACTS,
    DATABASES,
    FILES,
    FORMAT,
    KEYS,
    LAKE,
    MANIFEST,
    Manifest,
    Writer,
    chunk,
    members,
    unpack,
)
from riskcast.standalone.backup import Made, Tell, add_databases, software, write
from riskcast.standalone.dumps import Database
from riskcast.standalone.restore import Restored, local, verified
from riskcast.standalone.secrets import write_private

LEFT_OUT = ("redis-url", "restoring-*.json")  # made from the password beside it; of a restore
VOLUMES = (LAKE, ARTIFACTS, FILES)
# In Postgres's container: a program as a role, whose password is in the file that is mounted there.
AS_ROLE = (
    'PGHOST=127.0.0.1 PGUSER=$1 PGDATABASE=$1 PGPASSWORD=$(cat "/run/secrets/postgres-$1"); '
    'export PGHOST PGUSER PGDATABASE PGPASSWORD; shift; exec "$@"'
)
LONGEST_ANSWER = 64 << 20
LINES = 6


def backup(to: str, *, with_keys: bool, tell: Tell) -> Made:
    """Write a backup of the running project, which goes on meanwhile.

    Parameters
    ----------
    to : str
        A file that ends in .tar, else a folder; either may be ``s3://bucket/...``.
    with_keys : bool
        Whether to take the secrets too.

    Raises
    ------
    BackupError
        If the project does not run, or a part cannot be read or written.
    """
    if compose.restoring().exists() or compose.container_states().get("postgres") != "healthy":
        raise BackupError("no whole project runs here; `riskcast up --compose` starts it")
    return write(to, partial(_fill, with_keys=with_keys, tell=tell))


def _fill(writer: Writer, scratch: Path, *, with_keys: bool, tell: Tell) -> Manifest:
    chosen = _taken(writer, "pin")
    add_databases(writer, _databases(), scratch, secrets=with_keys)
    tell(f"{len(postgres.DATABASES)} databases, {len(chosen['pins'])} tables pinned")
    contents = _taken(writer, "files", json.dumps(chosen["pins"]))
    folder = compose.secrets_folder()
    for path in sorted(folder.iterdir()) if with_keys else (folder / PUBLIC,):
        if path.is_file() and not any(path.match(each) for each in LEFT_OUT):
            writer.add_file(f"{KEYS}/{path.name}", path)
    tell(f"{len(writer.members)} files")
    tables = {name: Content(**each) for name, each in contents.items()}
    return Manifest(FORMAT, chosen["made_at"], software(), with_keys, tables, writer.members)


def restore(settings: Settings, source: str, *, expected: str = "", tell: Tell) -> Restored:
    """Make the project, which must be down and empty, what the backup was, and leave it down.

    Parameters
    ----------
    source : str
        File or ``s3://`` address.
    expected : str
        Digest of the manifest, as `backup` told it. Empty: any backup that matches itself.

    Raises
    ------
    BackupRefused
        If the backup is not whole, the project has containers or volumes, or other secrets than the
        backup holds; nothing was touched then.
    BackupError
        If a part could not be put back, or is not what it was.
    """
    began, folder = seconds(), compose.secrets_folder()
    with local(source) as path, TemporaryDirectory(prefix="riskcast-restore-") as scratch:
        manifest, digest = verified(path, expected)
        tell(f"{len(manifest.members)} members match their digests; made {manifest.made_at}")
        keys = _keys(path)
        _claim(keys, manifest, digest)
        for name, content in keys.items():
            write_private(folder / name, content.decode())
        compose.make_secrets(settings, folder)
        try:
            compose.start(("postgres", "redis"))
            _load(path, digest, Path(scratch))
            tell("databases are back")
            _send(path, manifest)
            tell(f"{len(manifest.tables)} tables have the content they had, and are online")
        finally:
            compose.compose_down()
    compose.restoring().unlink()
    return Restored(manifest, digest, seconds() - began)


def _claim(keys: Mapping[str, bytes], manifest: Manifest, digest: str) -> None:
    """Mark the project as being restored; what an unfinished restore left goes first."""
    folder, marker = compose.secrets_folder(), compose.restoring()
    if marker.exists():
        compose.compose_down(volumes=True)
    if running := sorted(compose.container_states()):
        raise BackupRefused(
            f"the project has containers ({', '.join(running)}); stop it, `riskcast down --compose`"
        )
    if held := compose.volumes():
        raise BackupRefused(
            f"the project is not empty, it has {', '.join(held)}; remove all its data with "
            "`riskcast down --compose --volumes`, or name another in COMPOSE_PROJECT_NAME"
        )
    there = {name: folder / name for name in keys if (folder / name).exists()}
    others = sorted(name for name, path in there.items() if path.read_bytes() != keys[name])
    if others and manifest.with_keys:
        raise BackupRefused(
            f"{folder} has other secrets than the backup: {', '.join(others)}; move it away"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(marker, json.dumps({"backup": digest, "begun_at": wall().isoformat()}))


def _keys(path: Path) -> dict[str, bytes]:
    found = members(path)
    return {
        PurePosixPath(member.name).name: chunk(content, member.size)
        for member, content in found
        if member.name.startswith(f"{KEYS}/")
    }


def _load(path: Path, digest: str, scratch: Path) -> None:
    def place(name: str) -> IO[bytes] | None:
        kind, _, file = name.partition("/")
        return (scratch / file).open("wb") if kind == DATABASES else None

    unpack(path, digest, place)
    for database in _databases():
        database.load(scratch / f"{database.name}.dump")


def _send(path: Path, manifest: Manifest) -> None:
    """Hand the keeper what belongs into volumes, as a backup of its own."""
    sent = {n: each for n, each in manifest.members.items() if n.partition("/")[0] in VOLUMES}
    with _keeper("put", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101  asked for
        writer = Writer(process.stdin)
        for member, content in members(path):
            if member.name in sent:
                writer.add(member.name, content, member.size)
        writer.close(replace(manifest, members=sent).to_json())


def _taken(writer: Writer, *arguments: str) -> dict[str, Any]:
    """Add what the keeper gives out; return what it says last.

    Raises
    ------
    BackupError
        If it fails or ends before it has said that.
    """
    text = b""
    with _keeper(*arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  asked for
        for member, content in members(process.stdout):
            if member.name == MANIFEST:
                text = chunk(content, LONGEST_ANSWER)
            else:
                writer.add(member.name, content, member.size)
    if not text:
        raise BackupError(f"the keeper's answer to {arguments[0]} was cut off")
    answer: dict[str, Any] = json.loads(text)
    return answer


@contextmanager
def _keeper(*arguments: str, **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    module = ("python", "-m", "riskcast.standalone.keeper")
    once = ("run", "--rm", "--no-deps", "-T", "keeper")
    failed: Exception | None = None
    with TemporaryFile() as errors:
        with compose.started(*once, *module, *arguments, stderr=errors, **pipes) as process:
            try:
                yield process
                _close(process)
            except (BackupError, OSError) as error:
                failed = error  # it says better why it has gone
                with suppress(BrokenPipeError):
                    _close(process)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").splitlines()[-LINES:]
            raise BackupError(f"the keeper could not {arguments[0]}: {' '.join(said)}") from failed
    if failed:
        raise failed


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _databases() -> tuple[Database, ...]:
    container = compose.compose("ps", "--quiet", "postgres").stdout.strip()
    within = ("docker", "exec", "--interactive", container, "sh", "-ec", AS_ROLE, "sh")
    return tuple(Database(name, (*within, name), os.environ) for name in postgres.DATABASES)
