"""A whole life of the compose project: up, main job, forecasts, flips, crashes, loss and restore.

Needs Docker and the images of this checkout: ``make compose-test``. Its containers, networks and
volumes are its own and are removed; the times of what was seen are printed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from riskcast.core.settings import Settings
from riskcast.standalone import compose
from riskcast.standalone.archive import examine
from riskcast.standalone.tls import issue

PROJECT = "riskcast-test"
ROOT = Path(__file__).parents[2]
PRODUCT = "daily_risk"
FLIPS = 6
FLIP = (
    "import sys; from riskcast.core.settings import read_settings; "
    "from riskcast.routing.nginx import nginx_router; "
    "nginx_router(read_settings()).switch(sys.argv[1], sys.argv[2])"
)
LAKE = (
    "import json, sys; from riskcast.core.settings import read_settings; from riskcast.lake import "
    "open_lake, snapshot; from riskcast.tables import TABLES; lake = open_lake(read_settings()); "
)
VERSIONS = LAKE + "print(json.dumps(snapshot.pin(lake)))"
LAST_COMMIT = LAKE + (
    "print(max(each.at.timestamp() for table in TABLES.values() for each in lake.history(table)))"
)
CONTENTS = LAKE + (
    "from dataclasses import asdict; print(json.dumps({name: asdict(snapshot.content(lake, "
    "TABLES[name], version)) for name, version in json.loads(sys.argv[1]).items()}))"
)
RISKCAST = (sys.executable, "-c", "from riskcast.cli import main; main()")
RTO_SECONDS = 15 * 60

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
    port, tls_port = free_ports(2)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", PROJECT)
    monkeypatch.setenv("RISKCAST_API_PORT", port)
    monkeypatch.setenv("RISKCAST_TLS_PORT", tls_port)
    compose.compose_down(volumes=True)
    yield Settings(home=str(tmp_path), api_port=port, tls_port=tls_port)
    compose.compose_down(volumes=True)


def free_ports(count: int) -> list[str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def riskcast(*arguments: str) -> None:
    """Run a command as somebody at this machine does."""
    subprocess.run([*RISKCAST, *arguments], check=True)


def test_up_main_job_flips_crashes_restore_and_down(settings, tmp_path, monkeypatch):
    with timed("up, until all are healthy"):
        riskcast("up", "--compose")
    with timed("the main job through Airflow, in containers"):
        riskcast("quickstart", "--compose")
    client = Client(settings)
    assert client.predict().status_code == 200
    assert client.secured() == {"/airflow/": 200, "/mlflow/": 401, "/dashboard/": 401,
                                "/reports/": 401, "/inbox/": 401}  # fmt: skip
    flips_lose_nothing(settings, client)
    redis_comes_back(client)
    postgres_comes_back(client)
    all_comes_back(settings, client, tmp_path, monkeypatch)
    https_answers(settings, tmp_path)
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

    def forecast(self) -> dict[str, Any]:
        """Return an answer without what two answers to one question differ in."""
        answers: list[httpx.Response] = []
        await_that(lambda: answers.append(self.predict()) or answers[-1].status_code == 200)
        return {name: value for name, value in answers[-1].json().items() if name != "request_id"}

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
        [*load, "--clients", "4", f"--key={client.key}", "--requests", "1", "--listen"],
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


def all_comes_back(settings: Settings, client: Client, folder: Path, monkeypatch) -> None:
    """Back the running project up, lose it all, restore it with https and ask the same again."""
    before, newest = client.forecast(), versions()
    with timed("a backup of the running project"):
        path, digest = printed("backup", "--compose", "--to", str(folder / "kept")).split("\n")[:2]
    assert client.forecast() == before, "the project went on serving"
    manifest, again = examine(Path(path))
    assert digest == f"sha256 {again}"
    assert {n: each.version for n, each in manifest.tables.items()}.items() >= newest.items()
    lost = max(0.0, last_commit() - datetime.fromisoformat(manifest.made_at).timestamp())
    refused = subprocess.run([*RISKCAST, "restore", path, "--compose"], capture_output=True)
    assert refused.returncode and b"has containers" in refused.stderr
    riskcast("down", "--compose", "--volumes")
    assert left_behind() == []
    issued = issue(folder / "tls", ("localhost", "127.0.0.1"), 2)
    monkeypatch.setenv("RISKCAST_TLS_CERTIFICATE", str(issued.certificate))
    monkeypatch.setenv("RISKCAST_TLS_KEY", str(issued.key))
    began = time.monotonic()
    with timed("restore of the empty project"):
        riskcast("restore", path, "--compose", "--sha256", again)
    riskcast("up", "--compose")
    after, rto = client.forecast(), time.monotonic() - began
    assert after == before
    wanted = {name: asdict(each) for name, each in manifest.tables.items()}
    pins = json.dumps({name: each["version"] for name, each in wanted.items()})
    assert json.loads(in_runner(CONTENTS, pins)) == wanted
    size = Path(path).stat().st_size / 1e6
    tell(f"RTO {rto:.0f} s (limit {RTO_SECONDS}), {size:.0f} MB, {len(wanted)} tables with equal")
    tell(f"hashes; RPO: commits of the last {lost:.0f} s before the loss were not in the backup")
    assert rto <= RTO_SECONDS


def https_answers(settings: Settings, folder: Path) -> None:
    trusted = ssl.create_default_context(cafile=folder / "tls" / "tls-ca.pem")
    key = (compose.secrets_folder() / "api.key").read_text().strip()
    url = f"https://127.0.0.1:{settings.tls_port}/predict"
    answer = httpx.post(url, json={}, headers={"X-API-Key": key}, verify=trusted, timeout=30)
    assert answer.status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]


def printed(*arguments: str) -> str:
    ran = subprocess.run([*RISKCAST, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout


def in_runner(program: str, *arguments: str) -> str:
    return compose.compose("exec", "-T", "runner", "python", "-c", program, *arguments).stdout


def versions() -> dict[str, int]:
    return json.loads(in_runner(VERSIONS))


def last_commit() -> float:
    return float(in_runner(LAST_COMMIT))


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
