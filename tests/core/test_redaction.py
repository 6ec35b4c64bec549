"""Secrets are masked on their way to a log, whatever library logs them and in whatever shape."""

import io
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.core import redaction
from riskcast.core.redaction import redact

CANARY = "cAn4ry-s3cret_value.0xFEED"
SHAPES = [
    "connecting to redis://:{}@127.0.0.1:6390/0",
    "postgresql+psycopg://mlflow:{}@/mlflow?host=/run",
    "GET https://fred.test/series?series_id=X&api_key={}&file_type=json",
    "Authorization: Bearer {}",
    "{{'authorization': 'Basic {}', 'accept': '*/*'}}",
    "[(b'x-api-key', b'{}'), (b'host', b'x')]",
    "X-API-Key: {}",
    "request_headers={{'X-Amz-Security-Token': '{}'}}",
    "AWS_SECRET_ACCESS_KEY={}",
    '{{"password": "{}"}}',
    "aws_secret_access_key='{}'",
    "Cookie: session={}",
    "MLFLOW_TRACKING_PASSWORD={} is wrong",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
]
PLAIN = [
    "blue answers 200 on http://127.0.0.1:8001/health",
    "/srv/keys/fred.key is open to others; chmod 600 it",
    "RISKCAST_MAIL_USER needs RISKCAST_MAIL_PASSWORD_FILE=/run/secrets/mail",
    "2018-12-31T21:15:00Z daily_risk/1 rv 0.0406, 80% 0.018-0.060, digest a3b3819ff201",
    "GET /ready gives the reasons; train and promote a model if there is none.",
    "read 3 tokens: 12",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_is_masked_in_every_shape_that_libraries_print(shape):
    said = redact(shape.format(CANARY))
    assert CANARY not in said
    assert redaction.MASK in said


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays_as_it_is(text):
    assert redact(text) == text


@given(st.text(max_size=300))
def test_any_text_can_be_redacted_and_twice_is_once(text):
    assert redact(redact(text)) == redact(text)


def test_an_access_key_of_aws_is_masked_anywhere():
    assert "AKIAIOSFODNN7EXAMPLE" not in redact("Credential=AKIAIOSFODNN7EXAMPLE/20260101/us")


CHILD = """
import logging, os, sys, threading
from riskcast.core import redaction
if "off" not in sys.argv:
    redaction.install()
logging.basicConfig(level=logging.DEBUG)
log = logging.getLogger("some.library")
secret = os.environ["CANARY_SECRET"]
log.warning("plain %s", secret)
log.error("url %s", f"redis://:{secret}@host")
try:
    raise ValueError(f"password={secret}")
except ValueError:
    log.exception("failed")
def fail():
    raise RuntimeError(f"token={secret}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise RuntimeError(f"Authorization: Bearer {secret}")
"""


def child(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        env={"CANARY_SECRET": CANARY, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert "RuntimeError" in done.stderr
    return done.stdout + done.stderr


def test_no_record_and_no_traceback_of_a_process_shows_its_environment():
    assert child().count(redaction.MASK) >= 5
    assert CANARY not in child()
    assert CANARY in child("off"), "without it they would"


def test_records_keep_their_level_arguments_and_place(monkeypatch):
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    redaction.install({})
    stream = io.StringIO()
    log = logging.getLogger("test.redaction")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(funcName)s %(message)s"))
    log.addHandler(handler)
    log.warning("%d rows of %s", 3, "labels")
    log.removeHandler(handler)
    said = (
        "WARNING test.redaction test_records_keep_their_level_arguments_and_place 3 rows of labels"
    )
    assert stream.getvalue().strip() == said
