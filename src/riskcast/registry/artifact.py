"""A model as sealed data: files whose names, sizes and hashes are declared in a manifest.

Nothing here is ever unpickled, imported or run: a registry must not be a way in. What is not
plain JSON or text, not declared, or not byte for byte what was declared, is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskcast.core.errors import ArtifactRefused

MANIFEST = "manifest.json"
FORMAT = 1
SUFFIXES = (".json", ".txt")
MAX_BYTES = 50_000_000  # of all files together
MAX_FILES = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def seal(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return `files` and the manifest that declares them; equal files give equal bytes.

    Raises
    ------
    ArtifactRefused
        If a name is no plain file name, a suffix is not data, or the files are too large.
    """
    if MANIFEST in files:
        raise ArtifactRefused(f"{MANIFEST} is written by the seal; name the file otherwise")
    if not files:
        raise ArtifactRefused("a model without files cannot be sealed")
    check_listing({name: len(content) for name, content in files.items()})
    declared = {
        name: {"bytes": len(files[name]), "sha256": _sha256(files[name])} for name in sorted(files)
    }
    manifest = json.dumps({"files": declared, "format": FORMAT}, indent=1, sort_keys=True)
    return {**files, MANIFEST: manifest.encode()}


def digest(sealed: Mapping[str, bytes]) -> str:
    """Return the sha256 of the manifest: it changes with any byte of any file.

    Raises
    ------
    ArtifactRefused
        If there is no manifest.
    """
    if MANIFEST not in sealed:
        raise ArtifactRefused(f"no {MANIFEST}: the files were not sealed by Riskcast")
    return _sha256(sealed[MANIFEST])


def verify(sealed: Path | Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the declared files of a folder or mapping, without the manifest.

    Raises
    ------
    ArtifactRefused
        If anything is missing, extra, altered, too large, or no plain data file.
    """
    files = read_folder(sealed) if isinstance(sealed, Path) else dict(sealed)
    check_listing({name: len(content) for name, content in files.items()})
    digest(files)
    declared = _declared(files.pop(MANIFEST))
    if missing := sorted(set(declared) - set(files)):
        raise ArtifactRefused(f"{MANIFEST} declares {missing}, which are missing")
    if extra := sorted(set(files) - set(declared)):
        raise ArtifactRefused(f"{extra} are not declared in {MANIFEST}")
    for name, content in files.items():
        if declared[name] != {"bytes": len(content), "sha256": _sha256(content)}:
            raise ArtifactRefused(f"{name} differs from what {MANIFEST} declares; it was altered")
    return files


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a flat folder, sizes checked before anything is read.

    Raises
    ------
    ArtifactRefused
        If the folder is missing, or holds a link, a folder, a device or a file that is no data.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise ArtifactRefused(f"{folder} is no folder; was the model's data deleted?")
    sizes = {}
    for entry in os.scandir(folder):
        info = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            raise ArtifactRefused(f"{entry.name} in {folder} is no regular file")
        sizes[entry.name] = info.st_size
    check_listing(sizes)
    return {name: _read(folder / name) for name in sizes}


def check_listing(sizes: Mapping[str, int]) -> None:
    """Refuse names and sizes no sealed model has; nothing need be read or fetched for that.

    Raises
    ------
    ArtifactRefused
        Naming the file and what is wrong with it.
    """
    for name in sizes:
        if not _NAME.fullmatch(name) or ".." in name:
            raise ArtifactRefused(f"{name!r} is no plain file name")
        if not name.endswith(SUFFIXES):
            raise ArtifactRefused(f"{name} is not data-only; allowed are {', '.join(SUFFIXES)}")
    if len(sizes) > MAX_FILES:
        raise ArtifactRefused(f"{len(sizes)} files; a sealed model has at most {MAX_FILES}")
    if (total := sum(sizes.values())) > MAX_BYTES:
        raise ArtifactRefused(f"{total} bytes; a sealed model has at most {MAX_BYTES}")


def _read(path: Path) -> bytes:
    # O_NOFOLLOW and the bound hold even if the file is swapped after it was listed.
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read: {error.strerror}") from error


def _declared(manifest: bytes) -> dict[str, Any]:
    try:
        said = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"{MANIFEST} is no JSON: {error}") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ArtifactRefused(f"{MANIFEST} is not of format {FORMAT}")
    declared = said.get("files")
    if not isinstance(declared, dict):
        raise ArtifactRefused(f"{MANIFEST} declares no files")
    return declared


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
