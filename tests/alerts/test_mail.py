"""Mails reach a real SMTP server whole, protected and only once asked for."""

import pytest
from tests.alerts.smtp_server import certificate, smtp_server

from riskcast.alerts import Mail, send
from riskcast.core.errors import MailFailed, SettingsError
from riskcast.core.settings import Settings, read_settings

PNG = b"\x89PNG\r\n\x1a\nnot really"
MAIL = Mail(
    "Drift in lvix: retrain",
    "Retrain.\n.\nA line that is a dot.",
    '<p>Retrain. <img src="cid:drift"></p>',
    images={"drift": PNG},
    attachments={"report.html": b"<html></html>"},
)


def settings(port, **changes):
    given = {"mail_host": "127.0.0.1", "mail_port": str(port), "mail_tls": "none"}
    return Settings(**(given | {"mail_to": "desk@example.org, risk@example.org"} | changes))


def test_a_mail_arrives_with_text_html_picture_and_report():
    with smtp_server() as inbox:
        sent = send(settings(inbox.port), MAIL)
    ((_, _, to, message),) = inbox.mails
    assert to == ("desk@example.org", "risk@example.org")
    assert message["Subject"] == MAIL.subject
    assert message["Message-ID"] == sent
    text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert text.strip() == MAIL.text
    assert "cid:drift" in message.get_body(("html",)).get_content()
    parts = {part.get_content_type(): part for part in message.walk()}
    assert parts["image/png"]["Content-ID"] == "<drift>"
    assert parts["image/png"].get_content() == PNG
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "report.html"


def test_the_password_is_read_from_its_file_and_goes_over_tls(tmp_path):
    cert, context = certificate(tmp_path)
    password = tmp_path / "password"
    password.write_text("secret\n")
    given = {"mail_user": "mailer", "mail_password_file": str(password), "mail_tls": "starttls"}
    with smtp_server(context=context) as inbox:
        send(settings(inbox.port, **given, mail_ca=str(cert)), MAIL)
        with pytest.raises(MailFailed, match="certificate"):
            send(settings(inbox.port, **given), MAIL)
    ((encrypted, login, _, _),) = inbox.mails
    assert encrypted
    assert login == "mailer"


def test_a_server_without_starttls_is_sent_nothing():
    with smtp_server() as inbox, pytest.raises(MailFailed, match="STARTTLS"):
        send(settings(inbox.port, mail_tls="starttls"), MAIL)
    assert inbox.mails == []


def test_a_wrong_password_is_a_named_error(tmp_path):
    password = tmp_path / "password"
    password.write_text("guess")
    with smtp_server() as inbox, pytest.raises(MailFailed, match="wrong password"):
        send(settings(inbox.port, mail_user="mailer", mail_password_file=str(password)), MAIL)


def test_a_refused_recipient_is_named_and_the_others_have_the_mail():
    refusing = smtp_server(refuse={"risk@example.org"})
    with refusing as inbox, pytest.raises(MailFailed, match=r"risk@example\.org"):
        send(settings(inbox.port), MAIL)
    assert [to for _, _, to, _ in inbox.mails] == [("desk@example.org",)]


def test_a_dead_server_is_a_named_error():
    with pytest.raises(MailFailed, match=r"127\.0\.0\.1:9"):
        send(settings(9), MAIL)


def test_without_a_server_nothing_is_sent_silently():
    assert not Settings().mails
    with pytest.raises(SettingsError, match="RISKCAST_MAIL_HOST"):
        send(Settings(), MAIL)


def test_a_body_that_mail_readers_would_clip_is_refused():
    with pytest.raises(MailFailed, match="attach"):
        Mail("Big", "x" * 60_000, "y" * 60_000)


def test_a_subject_cannot_smuggle_a_header():
    with pytest.raises(MailFailed, match="one line"):
        Mail("Hello\nBcc: thief@example.org", "text")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RISKCAST_MAIL_HOST": "smtp.example.org"}, "RISKCAST_MAIL_TO"),
        ({"RISKCAST_MAIL_USER": "mailer"}, "RISKCAST_MAIL_PASSWORD_FILE"),
        ({"RISKCAST_MAIL_TLS": "perhaps"}, "starttls"),
        ({"RISKCAST_MAIL_PORT": "smtp"}, "RISKCAST_MAIL_PORT"),
        (
            {
                "RISKCAST_MAIL_USER": "mailer",
                "RISKCAST_MAIL_PASSWORD_FILE": "p",
                "RISKCAST_MAIL_TLS": "none",
                "RISKCAST_MAIL_HOST": "smtp.example.org",
                "RISKCAST_MAIL_TO": "desk@example.org",
            },
            "in the clear",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(environ, said):
    with pytest.raises(SettingsError, match=said):
        read_settings(environ)
