"""The receiver of MLflow's webhooks: a signed delivery wakes, anything else is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature
from tests.rollout.rollout_house import until
from tests.standalone.ports import free_ports

from riskcast.core.settings import Settings
from riskcast.registry import Registry
from riskcast.rollout.bell import MOST_BYTES, OLDEST, hung
from riskcast.standalone.secrets import fernet_key

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


@pytest.mark.slow
@pytest.mark.stack
def test_mlflow_itself_rings_when_an_alias_is_moved_and_again_after_a_restart(tmp_path):
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port))
    store = ("--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--workers", "1")
    allowed = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": fernet_key(),
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = subprocess.Popen(
        (*command, *store), env={**os.environ, **allowed}, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/health"))
        registry, client = Registry(Settings(home=str(tmp_path), mlflow=url)), MlflowClient(url)
        client.create_registered_model("model")
        client.create_model_version("model", "s3://nothing/there")
        for secret in ("of the first start", "of the second"):
            with hung(secret) as bell:
                registry.subscribe("test", bell.url, secret)
                registry.subscribe("test", bell.url, secret)
                time.sleep(1.5)  # longer than MLflow remembers whom to tell
                bell.wait(0.0)
                client.set_registered_model_alias("model", "champion", "1")
                assert bell.wait(30.0)
        assert [hook.name for hook in client.list_webhooks()] == ["test"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def answers(url):
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
