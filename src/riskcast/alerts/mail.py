"""A mail and its sending, over SMTP or by Amazon SES. What a mail says is `alerts.letters`."""

from __future__ import annotations

import mimetypes
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from types import MappingProxyType

from riskcast.core.clock import wall
from riskcast.core.errors import MailFailed, SettingsError
from riskcast.core.settings import Settings

BODY_LIMIT = 100_000  # bytes; Gmail clips a message at 102 KB
TIMEOUT = 20.0  # seconds for each answer of the server


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent. The text part says everything; the HTML part says it better.

    Attributes
    ----------
    subject : str
        One line.
    text, html : str
        Bodies, together at most `BODY_LIMIT` bytes; `html` may be empty.
    images : mapping of content id to PNG
        Shown in the HTML as ``<img src="cid:...">``.
    attachments : mapping of file name to content
    to : tuple of str
        Recipients instead of those of the settings.

    Raises
    ------
    MailFailed
        If the bodies are larger than the limit or the subject is not one line.
    """

    subject: str
    text: str
    html: str = ""
    images: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    attachments: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.text.encode()) + len(self.html.encode())
        if size > BODY_LIMIT:
            raise MailFailed(
                f"{self.subject!r}: bodies of {size} bytes, at most {BODY_LIMIT}; attach the rest"
            )
        if not self.subject or len(self.subject.splitlines()) > 1:
            raise MailFailed(f"subject {self.subject!r} is not one line")


def compose(settings: Settings, mail: Mail) -> EmailMessage:
    """Return the message as it goes over the wire.

    Raises
    ------
    SettingsError
        If nobody is named as sender or recipient.
    """
    to = mail.to or settings.mail_recipients
    if not to:
        raise SettingsError("a mail has no recipient; set RISKCAST_MAIL_TO")
    message = EmailMessage()
    message["Subject"] = mail.subject
    message["From"] = settings.mail_from
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(wall())
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
        shown = message.get_payload()[1]  # type: ignore[index]
        for cid, png in mail.images.items():
            shown.add_related(png, "image", "png", cid=f"<{cid}>", disposition="inline")  # type: ignore[union-attr]
    for name, content in mail.attachments.items():
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        main, _, sub = kind.partition("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return message


def send(settings: Settings, mail: Mail) -> str:
    """Send the mail to every recipient and return its Message-ID.

    Raises
    ------
    SettingsError
        If no server, sender or recipient is set, or the password cannot be read.
    MailFailed
        If the server cannot be reached, refuses the login or refuses a recipient.
    """
    if not settings.mails:
        raise SettingsError(
            "no mail server; set RISKCAST_MAIL_HOST or RISKCAST_MAIL_BY=ses, or check "
            "`settings.mails`"
        )
    message = compose(settings, mail)
    if settings.mail_by == "ses":
        return _send_by_ses(message)
    _send_by_smtp(settings, mail, message)
    return str(message["Message-ID"])


def _send_by_ses(message: EmailMessage) -> str:
    """Hand the message as it is to SES v2; return the Message-ID that SES gives it."""
    # Imported here: paid for only where SES is used.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        taken = boto3.client("sesv2").send_email(Content={"Raw": {"Data": message.as_bytes()}})
    except (BotoCoreError, ClientError) as error:
        raise MailFailed(
            f"{str(message['Subject'])!r} was not taken by SES: {error}; see ses:SendRawEmail of "
            f"the role, the verified sender {message['From']}, AWS_DEFAULT_REGION"
        ) from error
    return str(taken["MessageId"])


def _send_by_smtp(settings: Settings, mail: Mail, message: EmailMessage) -> None:
    where = f"{settings.mail_host}:{settings.mail_port}"
    try:
        with _connect(settings) as server:
            if settings.mail_user:
                server.login(settings.mail_user, _password(settings))
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise MailFailed(f"{mail.subject!r} was not taken by {where}: {error}") from error
    if refused:
        raise MailFailed(f"{mail.subject!r}: {where} refused {sorted(refused)}; the others have it")


def _connect(settings: Settings) -> smtplib.SMTP:
    host, port = settings.mail_host, int(settings.mail_port)
    if settings.mail_tls == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=_trust(settings))
    server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    if settings.mail_tls == "starttls":
        try:
            server.starttls(context=_trust(settings))
        except BaseException:
            server.close()
            raise
    return server


def _trust(settings: Settings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.mail_ca or None)


def _password(settings: Settings) -> str:
    path = Path(settings.mail_password_file)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"RISKCAST_MAIL_PASSWORD_FILE={str(path)!r} cannot be read: {error.strerror}"
        ) from error
