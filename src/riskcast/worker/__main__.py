"""Take steps until stopped: ``python -m riskcast.worker``."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from riskcast.core import redaction
from riskcast.core.errors import RiskcastError, SettingsError
from riskcast.core.settings import read_settings

TOKEN = "runner"  # noqa: S105, the name of its file


def main() -> None:
    """Serve until stopped, at the host of the settings and the port of `runner_url`.

    Raises
    ------
    SettingsError
        If the token of those who may ask was never made.
    """
    import uvicorn

    from riskcast.worker.app import create_app

    redaction.install()
    settings = read_settings()
    token = settings.keys_path / TOKEN
    if not token.is_file():
        raise SettingsError(f"{token} is missing; `make secrets` makes it")
    app = create_app(settings.home_path / "steps", token.read_text().strip(), int(settings.cores))
    uvicorn.run(
        app,
        host=settings.host,
        port=urlsplit(settings.runner_url).port or 8090,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )


if __name__ == "__main__":
    try:
        main()
    except RiskcastError as error:
        sys.exit(f"{error.code}: {error}")
