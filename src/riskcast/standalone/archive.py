"""A backup as a file: one tar whose last member is a manifest with the digest of every other.

It is written and read from front to back, so parts of one may come through a pipe.

The file gets its name once it is whole and on the disk; what a killed backup leaves is a draft
without a manifest, which nothing takes for a backup. Before anything is put back, every byte is
read and compared. The digests tell that a file is what was written, not who wrote it: the digest
of the manifest, printed by both commands, is for that.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from riskcast.core.errors import BackupError, BackupRefused
from riskcast.lake.snapshot import Content

FORMAT = 1
MANIFEST = "manifest.json"
LAKE, DATABASES, ARTIFACTS, FILES, KEYS = "lake", "databases", "artifacts", "files", "keys"
ROOTS = (LAKE, DATABASES, ARTIFACTS, FILES, KEYS)
CHUNK = 1 << 20
LONGEST_MANIFEST = 256 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    format : int
    made_at : str
        UTC instant, ISO 8601, at which the versions of the tables were chosen.
    software : mapping of str to str
        Versions of what wrote the databases.
    with_keys : bool
        Whether passwords and private keys are among the members.
    tables : mapping of table name to Content
    members : mapping of path to digest
        SHA-256 of every other member, in order.
    """

    format: int
    made_at: str
    software: Mapping[str, str]
    with_keys: bool
    tables: Mapping[str, Content]
    members: Mapping[str, str]

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read one.

        Raises
        ------
        BackupRefused
            If it is of another format, or none.
        """
        try:
            said = json.loads(text)
            if said["format"] != FORMAT:
                raise BackupRefused(
                    f"the backup is of format {said['format']}, this Riskcast reads {FORMAT}; "
                    f"restore with the release that made it: {said.get('software')}"
                )
            tables = {name: Content(**each) for name, each in said.pop("tables").items()}
            return cls(tables=tables, **said)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupRefused(f"the manifest of the backup cannot be read: {error}") from error


class Writer:
    """Adds members to a tar, keeping their digests."""

    def __init__(self, file: IO[bytes]) -> None:
        onward: Any = _Onward(file)
        self._tar = tarfile.TarFile(fileobj=onward, mode="w", format=tarfile.PAX_FORMAT)
        self.members: dict[str, str] = {}

    def add(self, name: str, content: IO[bytes], size: int) -> None:
        """Add `size` bytes of a stream: what a file gains meanwhile is left out.

        Raises
        ------
        BackupError
            If the stream ends before.
        """
        if name in self.members:
            raise BackupError(f"{name} would be twice in the backup")
        member = tarfile.TarInfo(_safe(name))
        member.size, member.mode = size, 0o600
        hashed = _Hashed(content)
        try:
            self._tar.addfile(member, hashed)
        except OSError as error:
            raise BackupError(f"{name} could not be written: {error}") from error
        self.members[name] = hashed.digest

    def add_file(self, name: str, path: Path) -> None:
        """Add a file."""
        with path.open("rb") as file:
            self.add(name, file, os.fstat(file.fileno()).st_size)

    def close(self, text: bytes) -> str:
        """Write the manifest, or what a part says in its place, as the last; return its digest."""
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(text), 0o600
        self._tar.addfile(member, BytesIO(text))
        self._tar.close()
        return hashlib.sha256(text).hexdigest()


class _Onward:
    """A file or a pipe, as tarfile wants to write to it: a pipe does not know where it is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._written = stream, 0

    def write(self, content: bytes) -> None:
        self._stream.write(content)
        self._written += len(content)

    def tell(self) -> int:
        return self._written


class _Hashed:
    """A stream that digests what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._hash.update(chunk)
        return chunk

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Give a draft to write; it takes the name `path` when the block ends well, else it goes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    file = os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems have no such thing; the file is whole anyway
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def examine(path: Path) -> tuple[Manifest, str]:
    """Read a whole backup and compare every digest; return its manifest and that one's digest.

    Raises
    ------
    BackupRefused
        If it is no tar, not whole, altered, of another format, or holds what a backup never does.
    """
    return read(path, lambda _name: None)


def read(
    source: Path | IO[bytes], open_: Callable[[str], IO[bytes] | None]
) -> tuple[Manifest, str]:
    """Examine a backup, and copy each member to the stream that `open_` returns for its name.

    Raises
    ------
    BackupRefused
        As `examine`. What was copied by then is not to be used.
    """
    found: dict[str, str] = {}
    text = b""
    for member, content in members(source):
        name = member.name
        if text:
            raise BackupRefused(f"{_named(source)} holds {name} behind its manifest")
        if name == MANIFEST:
            text = chunk(content, LONGEST_MANIFEST)
            continue
        if name in found:
            raise BackupRefused(f"{_named(source)} holds {name} twice")
        with open_(name) or nullcontext() as target:
            found[name] = _digest(content, target)
    if not text:
        raise BackupRefused(f"{_named(source)} has no manifest: it is no backup, or was cut off")
    manifest = Manifest.from_json(text)
    if found != dict(manifest.members):
        wrong = sorted(
            name
            for name in found.keys() | manifest.members.keys()
            if found.get(name) != manifest.members.get(name)
        )
        raise BackupRefused(
            f"{_named(source)} does not match its manifest: {len(wrong)} members are missing, "
            f"strange or altered, first {wrong[0]}; take another backup"
        )
    return manifest, hashlib.sha256(text).hexdigest()


def unpack(path: Path, digest: str, open_: Callable[[str], IO[bytes] | None]) -> None:
    """Copy the members of a backup that was examined; a name without a stream is left out.

    Raises
    ------
    BackupRefused
        If the file is no longer what was examined.
    """
    if read(path, open_)[1] != digest:
        raise BackupRefused(f"{path} was altered while it was read")


def members(source: Path | IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Give each member and its content, which is to be read before the next is asked for.

    Raises
    ------
    BackupRefused
        If it is no tar, not whole, or holds what a backup never does.
    """
    try:
        with _opened(source) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise BackupRefused(f"{_named(source)} holds {member.name}, no plain file")
                _safe(member.name)
                yield member, content
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused(f"{_named(source)} is no whole backup: {error}") from error
    except OSError as error:
        raise BackupRefused(f"{_named(source)} cannot be read: {error}") from error


def _opened(source: Path | IO[bytes]) -> tarfile.TarFile:
    if isinstance(source, Path):
        return tarfile.open(source, "r:")
    return tarfile.open(fileobj=source, mode="r|")


def _named(source: Path | IO[bytes]) -> str:
    return str(source) if isinstance(source, Path) else "what was sent"


def _digest(content: IO[bytes], target: IO[bytes] | None = None) -> str:
    digest = hashlib.sha256()
    while some := chunk(content):
        digest.update(some)
        if target is not None:
            target.write(some)
    return digest.hexdigest()


def chunk(content: IO[bytes], size: int = CHUNK) -> bytes:
    """Return the next bytes of a member, none at its end.

    Raises
    ------
    BackupRefused
        If the tar ends before the member does.
    """
    try:
        return content.read(size)
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused(f"the backup was cut off: {error}") from error


def _safe(name: str) -> str:
    """Return the name if it stays inside a folder of its kind.

    Raises
    ------
    BackupRefused
        If it does not.
    """
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and ".." not in parts and "\\" not in name and "\0" not in name
    if name != MANIFEST and not (plain and len(parts) > 1 and parts[0] in ROOTS):
        raise BackupRefused(f"{name!r} is no name in a backup")
    return name
