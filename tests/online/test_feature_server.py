"""Feast's server as clients in other languages see it, and what its log says of what they sent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.online.conftest import features, publish

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.online import store
from riskcast.products import PRODUCTS

SENT = "correct-horse-battery-staple"
SERVE = (sys.executable, "-m", "riskcast.online.server")


@pytest.fixture
def server(redis_url, tmp_path) -> Iterator[tuple[httpx.Client, Path]]:
    """The server over a filled store, and the file of all it says."""
    settings = Settings(home=str(tmp_path / "home"), redis=redis_url)
    publish(settings, features())
    store.apply(settings)
    store.materialise(settings, Window.parse("2017-01-01", "2018-12-31"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = tmp_path / "server.log"
    given = {"RISKCAST_HOME": settings.home, "RISKCAST_REDIS": redis_url}
    with log.open("w") as said:
        process = subprocess.Popen([*SERVE, port], env=os.environ | given, stdout=said, stderr=said)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until = time.monotonic() + 90
            while True:
                try:
                    client.get("/health")
                    break
                except httpx.TransportError:
                    assert process.poll() is None and time.monotonic() < until, log.read_text()
                    time.sleep(0.2)
            yield client, log
    finally:
        process.terminate()
        process.wait(30)


def ask(client: httpx.Client, **question) -> httpx.Response:
    return client.post("/get-online-features", json={"entities": {"symbol": ["SPY"]}, **question})


def test_it_gives_the_newest_features_and_logs_no_secret_that_it_was_sent(server):
    client, log = server
    product = next(iter(PRODUCTS))
    answer = ask(client, feature_service=product)
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["feature_names"][0] == "symbol"
    # What fails is logged with what was asked for.
    wrong = ask(client, feature_service=f"password={SENT}")
    assert wrong.is_error
    said = log.read_text()
    assert "password=" in said, "the failure is in the log"
    assert SENT not in said


def test_without_redis_it_says_so_and_ends(tmp_path):
    ended = subprocess.run(
        SERVE, env=os.environ | {"RISKCAST_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "RISKCAST_REDIS is empty" in ended.stderr
