"""Generated secrets: one 0600 file each in <home>/keys (0700), made once, never printed."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

CONSOLE = "console"  # name of the password of the pages behind nginx


def password() -> str:
    """Return 24 random bytes in URL-safe base64, so that no configuration needs to quote it."""
    return secrets.token_urlsafe(24)


def fernet_key() -> str:
    """Return a key for Fernet: 32 random bytes in URL-safe base64."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def secret(folder: Path, name: str, make: Callable[[], str] = password) -> str:
    """Return the secret of that name, made on first use."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_private(path, make())
    return path.read_text().strip()


def write_private(path: Path, text: str) -> bool:
    """Write a file only its owner can read, whole or not at all; return whether it changed."""
    if path.exists() and path.read_text() == text:
        path.chmod(0o600)
        return False
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
    return True
