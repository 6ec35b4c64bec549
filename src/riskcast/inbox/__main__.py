"""Take mails and show them, until stopped: ``python -m riskcast.inbox``."""

from __future__ import annotations

import mailbox
import sys
from email.message import Message
from pathlib import Path

from riskcast.core import redaction
from riskcast.core.errors import RiskcastError, SettingsError
from riskcast.core.settings import LOOPBACK, read_settings

LARGEST = 25_000_000  # bytes of one mail, as most providers have it
PASSWORD = "console"  # noqa: S105, the name of its file, shared with the other pages


def main() -> None:
    """Serve SMTP and the page, on loopback only.

    Raises
    ------
    SettingsError
        If the password of the page was never made.
    """
    import uvicorn
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Message as Handler

    from riskcast.inbox.page import create_app

    settings = read_settings()
    folder, key = settings.home_path / "inbox", settings.keys_path / PASSWORD
    if not key.exists():
        raise SettingsError(f"{key} is missing; `riskcast up` makes it")

    class Keep(Handler):  # type: ignore[misc]
        def handle_message(self, message: Message) -> None:
            mailbox.Maildir(folder).add(message)

    smtp = Controller(
        Keep(), hostname=LOOPBACK, port=int(settings.smtp_port), data_size_limit=LARGEST
    )
    smtp.start()
    try:
        uvicorn.run(
            create_app(Path(folder), key.read_text().strip()),
            host=LOOPBACK,
            port=int(settings.inbox_port),
            access_log=False,
            server_header=False,
        )
    finally:
        smtp.stop()


if __name__ == "__main__":
    redaction.install()
    try:
        main()
    except RiskcastError as error:
        sys.exit(redaction.redact(f"{error.code}: {error}"))
