"""A whole life of the compose project: up, main job, forecasts, flips, crashes, down.

Needs Docker and the images of this checkout: ``make compose-test``. Its containers, networks and
volumes are its own and are removed; the times of what was seen are printed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from riskcast.core.settings import Settings
from riskcast.standalone import compose

PROJECT = "riskcast-test"
ROOT = Path(__file__).parents[2]
PRODUCT = "daily_risk"
FLIPS = 6
FLIP = (
    "import sys; from riskcast.core.settings import read_settings; "
    "from riskcast.routing.nginx import nginx_router; "
    "nginx_router(read_settings()).switch(sys.argv[1], sys.argv[2])"
)

tell = Console(stderr=True, highlight=False, width=140).print

pytestmark = [
    pytest.mark.slow,
    pytest.mark.stack,
    pytest.mark.skipif(
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode != 0,
        reason="no Docker engine answers (DOCKER_HOST)",
    ),
]


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    tell(f"{what:<50} {time.perf_counter() - began:7.1f} s")


@pytest.fixture
def settings(monkeypatch, tmp_path) -> Iterator[Settings]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", PROJECT)
    monkeypatch.setenv("RISKCAST_API_PORT", port)
    compose.compose_down(volumes=True)
    yield Settings(home=str(tmp_path), api_port=port)
    compose.compose_down(volumes=True)


def test_up_main_job_flips_crashes_and_down(settings):
    riskcast = (sys.executable, "-c", "from riskcast.cli import main; main()")
    with timed("up, until all are healthy"):
        subprocess.run([*riskcast, "up", "--compose"], check=True)
    with timed("the main job through Airflow, in containers"):
        subprocess.run([*riskcast, "quickstart", "--compose"], check=True)
    client = Client(settings)
    assert client.predict().status_code == 200
    assert client.secured() == {"/airflow/": 200, "/mlflow/": 401, "/dashboard/": 401,
                                "/reports/": 401, "/inbox/": 401}  # fmt: skip
    flips_lose_nothing(settings, client)
    redis_comes_back(client)
    postgres_comes_back(client)
    with timed("down"):
        compose.compose_down(volumes=True)
    assert left_behind() == []


class Client:
    """Somebody on this machine, who sees nginx's port and nothing else."""

    def __init__(self, settings: Settings) -> None:
        known = compose.client(settings)
        self.key = (known.keys_path / "api.key").read_text().strip()
        self._http = httpx.Client(
            base_url=known.api_url, headers={"X-API-Key": self.key}, timeout=15
        )

    def predict(self) -> httpx.Response:
        return self._http.post("/predict", json={})

    def ready(self) -> int:
        return self._http.get("/ready").status_code

    def secured(self) -> dict[str, int]:
        """Return how each page answers to somebody without a password; Airflow's shows a login."""
        pages = ("/airflow/", "/mlflow/", "/dashboard/", "/reports/", "/inbox/")
        return {page: self._http.get(page).status_code for page in pages}

    def airflow(self) -> dict[str, str]:
        said = self._http.get("/airflow/api/v2/monitor/health").json()
        return {name: part["status"] for name, part in said.items() if part["status"]}


def flips_lose_nothing(settings: Settings, client: Client) -> None:
    """Move all traffic between the colours while a client asks as fast as it is answered."""
    load = (sys.executable, str(ROOT / "benchmarks" / "_load.py"), "--port", settings.api_port)
    generator = subprocess.Popen(
        [*load, "--clients", "4", "--key", client.key, "--requests", "1", "--listen"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    took = []
    for number in range(FLIPS):
        time.sleep(1.0)
        began = time.perf_counter()
        slot = ("green", "blue")[number % 2]
        compose.compose("exec", "-T", "runner", "python", "-c", FLIP, PRODUCT, slot)
        took.append(time.perf_counter() - began)
    printed, _ = generator.communicate("done\n", timeout=60)
    said = json.loads(printed.splitlines()[-1])
    tell(f"{FLIPS} flips: {said['requests']} requests, {said['failed']} failed, {said['slots']}")
    tell(f"p99 {said['p99_ms']} ms; a flip and the start of who asks for it {max(took):.1f} s")
    assert said["failed"] == 0, said["failures"]
    assert set(said["slots"]) == {"blue", "green"}


def redis_comes_back(client: Client) -> None:
    crash("redis")
    answers = []
    with timed("Redis killed, until forecasts are given again"):
        await_that(lambda: answers.append(client.predict().status_code) or answers[-1] == 200)
        await_that(lambda: compose.container_states()["redis"] == "healthy")
    # Meanwhile a forecast is refused by name, never invented.
    assert set(answers) <= {200, 503}
    assert client.predict().status_code == 200


def postgres_comes_back(client: Client) -> None:
    crash("postgres")
    answers = []
    with timed("Postgres killed, until Airflow is healthy again"):
        await_that(lambda: compose.container_states()["postgres"] == "healthy")
        await_that(lambda: set(client.airflow().values()) == {"healthy"})
        answers.append(client.predict().status_code)
    assert set(answers) == {200}
    compose.compose("exec", "-T", "runner", "riskcast", "models", "list")  # asks MLflow


def crash(service: str) -> None:
    """Kill a server as a crash does, so that its restart policy has to bring it back."""
    name = compose.compose("ps", "--quiet", service).stdout.strip()
    shown = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", name], capture_output=True, text=True
    )
    if os.geteuid() == 0:
        os.kill(int(shown.stdout), signal.SIGKILL)
        await_that(lambda: restarts(name) > 0)
    else:  # another account's processes are out of reach; Docker would not restart what it killed
        subprocess.run(["docker", "restart", "--time", "0", name], check=True, capture_output=True)


def restarts(name: str) -> int:
    shown = ["docker", "inspect", "--format", "{{.RestartCount}}", name]
    return int(subprocess.run(shown, capture_output=True, text=True).stdout)


def await_that(condition, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (httpx.TransportError, ValueError):
            pass  # not yet
        assert time.monotonic() < until
        time.sleep(0.2)


def left_behind() -> list[str]:
    """Return what Docker still has of the project."""
    ours = f"label=com.docker.compose.project={PROJECT}"
    lists = (
        ["docker", "ps", "--all", "--quiet", "--filter", ours],
        ["docker", "network", "ls", "--quiet", "--filter", ours],
        ["docker", "volume", "ls", "--quiet", "--filter", ours],
    )
    return [
        found
        for command in lists
        for found in subprocess.run(command, capture_output=True, text=True).stdout.split()
    ]
