"""Where Feast keeps what: registry and fallback store below <home>, online values in Redis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.tables import Table

PROJECT = "riskcast"
TIMEOUT_SECONDS = 2  # a store that hangs must become a named error, not a hanging request


def registry_path(settings: Settings) -> Path:
    """Return the file in which Feast keeps its definitions."""
    return settings.home_path / "feast" / "registry.db"


def published_folder(settings: Settings, table: Table) -> str:
    """Return the folder or address of a table's published Parquet, never relative."""
    root = settings.published_root
    return f"{root if '://' in root else Path(root).absolute()}/{table.name}"


def config_values(settings: Settings) -> dict[str, Any]:
    """Return the content of feature_store.yaml for these settings."""
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {
            "path": str(registry_path(settings)),
            "registry_store_type": "riskcast.online.registry_store.ReplacingRegistryStore",
            # A reader keeps the registry it has read and asks again when a view is missing.
            "cache_ttl_seconds": 0,
            # Else `feast materialize` by hand, once killed, would end all serving for good.
            "serve_features_while_materializing": True,
        },
        "offline_store": {"type": "riskcast.online.offline_store.AsOfOfflineStore"},
        "online_store": _online_store(settings),
        "entity_key_serialization_version": 3,
    }


def write_config(settings: Settings) -> Path:
    """Write feature_store.yaml into <home>/feast for the feast command; return its path.

    The file may hold the password of Redis, so only its owner can read it.
    """
    path = registry_path(settings).with_name("feature_store.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config_values(settings), indent=2) + "\n"  # JSON is YAML
    if not path.exists() or path.read_text() != text:
        path.touch(mode=0o600)
        path.write_text(text)
    return path


def _online_store(settings: Settings) -> dict[str, Any]:
    if not settings.redis:
        return {"type": "sqlite", "path": str(registry_path(settings).with_name("online.db"))}
    return {
        "type": "redis",
        "connection_string": connection_string(settings.redis),
        # Feast's own check skips a row as new as the stored one, so a corrected row would never
        # arrive; `materialise` makes the check that is meant.
        "skip_dedup": True,
    }


def connection_string(url: str) -> str:
    """Return a Redis URL in Feast's form: ``host:port,db=0,username="...",password="..."``.

    Raises
    ------
    SettingsError
        If it is no Redis URL, or a part holds what Feast's form cannot carry.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise SettingsError(f"RISKCAST_REDIS is no URL: {error}") from error
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise SettingsError("RISKCAST_REDIS: expected redis://[user:password@]host[:port][/db]")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    options["db"] = int(parts.path.strip("/") or 0)
    options["socket_timeout"] = options["socket_connect_timeout"] = TIMEOUT_SECONDS
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            options[name] = unquote(value)
    if parts.scheme == "rediss":
        options["ssl"] = True
    if "," in str(options.get("password", "")) + str(options.get("username", "")):
        raise SettingsError("RISKCAST_REDIS: Feast cannot take a comma in user or password")
    # JSON, because Feast reads each value as JSON: a password of digits stays text.
    said = (f"{name}={json.dumps(value)}" for name, value in options.items())
    return ",".join((f"{parts.hostname}:{port}", *said))
