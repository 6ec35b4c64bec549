"""Feast's own server of online features, for clients in other languages.

``python -m riskcast.online.server`` becomes ``feast serve``. It asks for no login: only who reaches
its port may read features, and the model servers do not need it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from riskcast.core.errors import RiskcastError, SettingsError
from riskcast.core.settings import Settings, read_settings
from riskcast.online.config import config_values

PORT = "6566"  # Feast's own


def command(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Return the command that serves, its configuration written into `folder`.

    Raises
    ------
    SettingsError
        If there is no Redis: another process's SQLite is not served.
    """
    if not settings.redis:
        raise SettingsError("RISKCAST_REDIS is empty; the feature server needs the online store")
    config = folder / "feature_store.yaml"  # holds the password of Redis
    config.touch(mode=0o600)
    config.write_text(json.dumps(config_values(settings)))  # JSON is YAML
    listen = ("--host", settings.host, "--port", PORT, "--no-access-log")
    return ("feast", "--chdir", str(folder), "serve", *listen)


def main() -> None:
    """Become the server."""
    words = command(read_settings(), Path(tempfile.mkdtemp()))
    os.execvp(words[0], words)  # noqa: S606, no shell wanted


if __name__ == "__main__":
    try:
        main()
    except RiskcastError as error:
        sys.exit(f"{error.code}: {error}")
