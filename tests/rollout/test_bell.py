"""The receiver of MLflow's webhooks: a signed delivery wakes, anything else is refused."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from riskcast.rollout.bell import MOST_BYTES, OLDEST, hung

SECRET = "what both know"
BODY = '{"entity": "model_version_alias", "action": "created"}'


@pytest.fixture
def bell():
    with hung(SECRET) as found:
        yield found


def delivery(secret: str = SECRET, age: float = 0.0, body: str = BODY) -> Mapping[str, str]:
    """Return the headers that MLflow itself would send with a body."""
    at = str(int(time.time() - age))
    return {
        "X-MLflow-Delivery-Id": "one",
        "X-MLflow-Timestamp": at,
        "X-MLflow-Signature": _generate_hmac_signature(secret, "one", at, body),
    }


def send(url: str, headers: Mapping[str, str], body: str = BODY) -> int:
    return httpx.post(url, content=body, headers=headers, trust_env=False).status_code


def test_a_delivery_signed_as_mlflow_signs_wakes_at_once(bell):
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(bell.wait, 30.0)
        assert send(bell.url, delivery()) == 204
        assert waiting.result(10)
    assert time.monotonic() - began < 10
    assert not bell.wait(0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        delivery("another secret"),
        delivery(age=2 * OLDEST),
        delivery(body="{}"),
        {**delivery(), "X-MLflow-Timestamp": "²"},
        {**delivery(), "X-MLflow-Signature": "v1,"},
    ],
    ids=["unsigned", "secret", "old", "body", "timestamp", "empty"],
)
def test_a_delivery_that_is_not_mlflows_wakes_nobody(bell, headers):
    raw = {name: value.encode() for name, value in headers.items()}
    assert send(bell.url, raw) == 401
    assert not bell.wait(0.0)


def test_another_path_and_a_body_too_large_are_refused_unread(bell):
    assert send(bell.url + "/other", delivery()) == 404
    large = " " * (MOST_BYTES + 1)
    assert send(bell.url, delivery(body=large), large) == 404
    assert not bell.wait(0.0)
