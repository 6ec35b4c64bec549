"""Mails by the API of Amazon SES (moto's server): the same message, refusals named."""

from email import message_from_string, policy

import boto3
import httpx
import pytest
from tests.alerts.test_mail import MAIL, PNG
from tests.moto_aws import moto_aws

from riskcast.alerts import send
from riskcast.core.errors import MailFailed, SettingsError
from riskcast.core.settings import Settings, read_settings

SENDER = "riskcast@example.org"
BY_SES = {"RISKCAST_MAIL_BY": "ses", "RISKCAST_MAIL_TO": "desk@example.org, risk@example.org"}


@pytest.fixture
def ses():
    """Base address of a server that speaks for SES; nobody is verified there."""
    with moto_aws() as base:
        yield base


def settings() -> Settings:
    return read_settings({**BY_SES, "RISKCAST_MAIL_FROM": SENDER})


def kept(base):
    """What SES was handed: recipients and message."""
    models = httpx.get(f"{base}/moto-api/data.json").json()["ses"]["RawMessage"]
    return [
        (one["destinations"], message_from_string(one["raw_data"], policy=policy.default))
        for one in models
    ]


def test_a_mail_by_ses_is_the_mail_with_html_picture_and_report(ses):
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    sent = send(settings(), MAIL)
    assert sent
    ((_, message),) = kept(ses)
    assert message["Subject"] == MAIL.subject
    assert message["To"] == "desk@example.org, risk@example.org"
    parts = {part.get_content_type(): part for part in message.walk()}
    assert parts["image/png"].get_content() == PNG
    assert "cid:drift" in message.get_body(("html",)).get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "report.html"


def test_what_ses_refuses_is_named_with_the_cure(ses):
    with pytest.raises(MailFailed, match=r"verified sender riskcast@example.org"):
        send(settings(), MAIL)


def test_ses_that_does_not_answer_is_named(monkeypatch, ses):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(MailFailed, match="was not taken by SES"):
        send(settings(), MAIL)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"RISKCAST_MAIL_BY": "ses"}, "RISKCAST_MAIL_TO"),
        ({**BY_SES, "RISKCAST_MAIL_HOST": "smtp.example.org"}, "unset one"),
        ({"RISKCAST_MAIL_BY": "pigeon"}, "expected one of"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        read_settings(given)
