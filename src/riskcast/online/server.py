"""Feast's own server of online features, for clients in other languages.

``python -m riskcast.online.server`` is ``feast serve`` with logs that carry no secret. It asks for
no login: only who reaches its port may read features, and the model servers do not need it.
"""

from __future__ import annotations

import sys

from riskcast.core import redaction
from riskcast.core.errors import RiskcastError, SettingsError
from riskcast.core.settings import read_settings
from riskcast.online.store import feature_store

PORT = "6566"  # Feast's own


def main(port: str = PORT) -> None:
    """Serve until stopped.

    Raises
    ------
    SettingsError
        If there is no Redis: another process's SQLite is not served.
    """
    settings = read_settings()
    if not settings.redis:
        raise SettingsError("RISKCAST_REDIS is empty; the feature server needs the online store")
    feature_store(settings).serve(settings.host, int(port))


if __name__ == "__main__":
    redaction.install()
    try:
        main(*sys.argv[1:])
    except RiskcastError as error:
        sys.exit(redaction.redact(f"{error.code}: {error}"))
