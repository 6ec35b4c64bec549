"""API keys: random tokens, stored as sha256 with scopes, compared in constant time.

A fast hash is enough because keys are 256 random bits, not words someone chose.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from riskcast.core.clock import wall
from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.serving.errors import Refusal

KEYS_FILE = "api_keys.json"
KEY_FILE, ADMIN_KEY_FILE = "api.key", "admin.key"
PREDICT, OBSERVE, MONITOR, ADMIN = "predict", "observe", "monitor", "admin"
SCOPES = {
    PREDICT: "Ask for forecasts, past ones, news and the streams.",
    OBSERVE: "Read /metrics.",
    MONITOR: "Read drift checks and raise drift alerts.",
    ADMIN: "Read and steer the server itself: /debug and /admin, reached from inside only.",
}
DEFAULT_SCOPES = (PREDICT, OBSERVE, MONITOR)
_HOW = "Send the header X-API-Key; the default key lies in <home>/keys/api.key."

_x_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description=_HOW)
_bearer = HTTPBearer(auto_error=False, description="The same key as a bearer token.")


@dataclass(frozen=True, slots=True)
class Client:
    """Who holds a key, and what it opens."""

    name: str
    sha256: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


class Keys:
    """The keys file, read again whenever it changes, so that a removed key is refused at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEYS_FILE
        self._seen: tuple[int, int] | None = None
        self._clients: tuple[Client, ...] = ()

    def authorise(self, key: str | None, scope: str) -> Client:
        """Return the client of `key`.

        Raises
        ------
        Refusal
            503 keys-missing or keys-unreadable; 401 key-missing, key-unknown or key-expired;
            403 scope-missing.
        """
        clients = self.clients()
        if not key:
            raise Refusal(401, "key-missing", "the request carries no API key", _HOW)
        offered = _hash(key)
        # No early exit: the time taken says nothing about which key came close.
        found = [c for c in clients if hmac.compare_digest(c.sha256, offered)]
        if not found:
            raise Refusal(401, "key-unknown", "the API key is not known here", _HOW)
        expires_at = found[0].expires_at
        if expires_at is not None and expires_at <= wall():
            message = f"the key of {found[0].name!r} expired at {expires_at.isoformat()}"
            raise Refusal(401, "key-expired", message, "Ask for a new key.")
        if scope not in found[0].scopes:
            raise Refusal(
                403,
                "scope-missing",
                f"the key of {found[0].name!r} lacks the scope {scope!r}",
                f"Ask for a key with the scope {scope!r}.",
            )
        return found[0]

    def clients(self) -> tuple[Client, ...]:
        """Return the clients of the file.

        Raises
        ------
        Refusal
            503 where the file is missing or malformed: never open without keys.
        """
        try:
            info = self._path.stat()
            if (seen := (info.st_mtime_ns, info.st_size)) != self._seen:
                self._clients = _parse(self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError as error:
            message = "the server has no keys file, so it answers nobody"
            raise Refusal(503, "keys-missing", message, "`riskcast up` makes one.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._seen = None
            message = f"the keys file cannot be read: {type(error).__name__}"
            raise Refusal(
                503, "keys-unreadable", message, f"Mend or remove {KEYS_FILE}."
            ) from error
        return self._clients


def needs(scope: str) -> Callable[..., Awaitable[Client]]:
    """Return the dependency that lets only keys with `scope` pass."""

    async def check(
        request: Request,
        key: Annotated[str | None, Security(_x_api_key)] = None,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    ) -> Client:
        offered = key or (bearer.credentials if bearer else None)
        keys: Keys = request.app.state.keys
        return keys.authorise(offered, scope)

    return check


def ensure_api_key(settings: Settings) -> Path:
    """Make the default client's key unless it exists; return the 0600 file that holds it.

    Raises
    ------
    SettingsError
        If the keys file exists but cannot be read; it is never overwritten then.
    """
    return _ensure_key(settings, KEY_FILE, "default", DEFAULT_SCOPES)


def ensure_admin_key(settings: Settings) -> Path:
    """Make the key of those who move traffic, like `ensure_api_key`; it opens everything."""
    return _ensure_key(settings, ADMIN_KEY_FILE, "admin", tuple(SCOPES))


def _ensure_key(settings: Settings, file_name: str, client: str, scopes: tuple[str, ...]) -> Path:
    folder = settings.keys_path
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / file_name
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        path.chmod(0o600)
    add_client(settings, client, path.read_text().strip(), scopes)
    return path


def issue_key(
    settings: Settings, name: str, scopes: tuple[str, ...], lifetime: timedelta | None = None
) -> str:
    """Make a key for a new client and return it; only its hash is kept.

    Raises
    ------
    SettingsError
        If a scope is unknown, the name is taken or empty, or the keys file cannot be read.
    """
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise SettingsError(f"no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not name.strip() or name in {each["name"] for each in stored_keys(settings)}:
        raise SettingsError(f"the name {name!r} is empty or taken; `riskcast keys list` shows all")
    key = secrets.token_urlsafe(32)
    settings.keys_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    add_client(settings, name, key, scopes, wall() + lifetime if lifetime else None)
    return key


def revoke_key(settings: Settings, name: str) -> None:
    """Remove a client; running servers refuse its key from the next request on.

    Raises
    ------
    SettingsError
        If there is no such client, or the keys file cannot be read.
    """
    stored = stored_keys(settings)
    left = [each for each in stored if each["name"] != name]
    if len(left) == len(stored):
        there = ", ".join(each["name"] for each in stored) or "none"
        raise SettingsError(f"no client {name!r}; there are {there}")
    _write(settings.keys_path / KEYS_FILE, left)


def stored_keys(settings: Settings) -> list[dict[str, Any]]:
    """Return the entries of the keys file: name, sha256, scopes, created_at, expires_at.

    Raises
    ------
    SettingsError
        If the keys file exists but cannot be read.
    """
    path = settings.keys_path / KEYS_FILE
    try:
        content = path.read_bytes()
        _parse(content)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}); mend or remove it") from error
    found: list[dict[str, Any]] = json.loads(content)["keys"]
    return found


def add_client(
    settings: Settings,
    name: str,
    key: str,
    scopes: tuple[str, ...],
    expires_at: datetime | None = None,
) -> None:
    """Store the hash of `key` with its scopes; a client of the same name is replaced.

    Raises
    ------
    SettingsError
        If the keys file exists but cannot be read.
    """
    stored = stored_keys(settings)
    entry = {
        "name": name,
        "sha256": _hash(key),
        "scopes": sorted(scopes),
        "created_at": wall().isoformat(),
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
    kept = [each for each in stored if each["name"] == name]
    if [each | {"created_at": entry["created_at"]} for each in kept] == [entry]:
        return
    others = [each for each in stored if each["name"] != name]
    _write(settings.keys_path / KEYS_FILE, [*others, entry])


def offered_key(headers: Headers) -> str | None:
    """Return the key of X-API-Key or of a bearer token, None if there is neither."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else None)


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    draft = path.with_name(f"{KEYS_FILE}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"keys": entries}, file, indent=1)
    draft.replace(path)


def _parse(content: bytes) -> tuple[Client, ...]:
    clients = tuple(
        Client(
            str(each["name"]),
            str(each["sha256"]),
            frozenset(map(str, each["scopes"])),
            _instant(each.get("expires_at")),
        )
        for each in json.loads(content)["keys"]
    )
    if not all(c.sha256.isascii() and len(c.sha256) == 64 for c in clients):
        raise ValueError("a sha256 has not 64 hex digits")
    return clients


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("expires_at has no time zone")
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
