"""A Maildir as the page shows it. A mail is a stranger's text: nothing in it is trusted."""

from __future__ import annotations

import base64
import mailbox
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime
from pathlib import Path

NAME = re.compile(r"[\w.,:=+-]+")
PREVIEW = 140  # characters of the first line
_CID = re.compile(r"""(["'(])cid:([^"')\s>]+)""")


@dataclass(frozen=True, slots=True)
class Head:
    """One line of the list."""

    key: str
    subject: str
    sender: str
    to: str
    at: datetime
    first_line: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A whole mail: `html` has its images inside; `attachments` are names and sizes in bytes."""

    head: Head
    text: str
    html: str
    attachments: tuple[tuple[str, int], ...]


def heads(folder: Path, limit: int = 200) -> list[Head]:
    """Return the newest mails, newest first."""
    box = mailbox.Maildir(folder)
    found = [_head(key, _parse(box, key)) for key in box.keys()]  # noqa: SIM118, not a dict
    return sorted(found, key=lambda head: head.at, reverse=True)[:limit]


def opened(folder: Path, key: str) -> Opened | None:
    """Return the mail of that key, none if there is none."""
    message = _find(folder, key)
    if message is None:
        return None
    attachments = tuple(
        (part.get_filename() or "attachment", len(_bytes(part)))
        for part in message.iter_attachments()
    )
    return Opened(_head(key, message), _body(message, "plain"), _with_images(message), attachments)


def attachment(folder: Path, key: str, index: int) -> tuple[str, bytes] | None:
    """Return file name and content of the mail's attachment of that number, none if absent."""
    message = _find(folder, key)
    parts = [] if message is None else list(message.iter_attachments())
    if not 0 <= index < len(parts):
        return None
    return Path(parts[index].get_filename() or "attachment").name, _bytes(parts[index])


def _find(folder: Path, key: str) -> EmailMessage | None:
    if not NAME.fullmatch(key):
        return None
    box = mailbox.Maildir(folder)
    return _parse(box, key) if key in box else None


def _parse(box: mailbox.Maildir, key: str) -> EmailMessage:
    message = message_from_bytes(box.get_bytes(key), policy=policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101, what policy.default makes
    return message


def _head(key: str, message: EmailMessage) -> Head:
    said = {name: str(message[name] or "") for name in ("Subject", "From", "To", "Date")}
    # Many mails begin with their subject; what comes after it is news.
    lines = (line.strip() for line in _body(message, "plain").splitlines())
    first = next((line for line in lines if line not in ("", said["Subject"])), "")
    return Head(
        key, said["Subject"], said["From"], said["To"], _date(said["Date"]), first[:PREVIEW]
    )


def _date(text: str) -> datetime:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:  # a mail without a date that can be read goes to the end
        return datetime.fromtimestamp(0, UTC)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    charset = part.get_content_charset("utf-8")
    try:
        return _bytes(part).decode(charset, errors="replace")
    except LookupError:  # a charset that nobody knows
        return _bytes(part).decode("utf-8", errors="replace")


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else part.as_bytes()


def _with_images(message: EmailMessage) -> str:
    """The HTML body with each ``cid:`` replaced by the image itself, so that it needs nothing."""
    images = {
        str(part["Content-ID"]).strip("<> "): part
        for part in message.walk()
        if part["Content-ID"] and part.get_content_maintype() == "image"
    }

    def inline(found: re.Match[str]) -> str:
        part = images.get(found[2])
        if part is None:
            return found[0]
        kind = part.get_content_type()
        return f"{found[1]}data:{kind};base64,{base64.b64encode(_bytes(part)).decode()}"

    return _CID.sub(inline, _body(message, "html"))
