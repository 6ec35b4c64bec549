"""The REST client against a real Airflow, and what a run of a given window hands to its steps."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.dags.inbox import Inbox, text

from riskcast.core.errors import StackError
from riskcast.core.window import Window
from riskcast.jobs.airflow_api import Airflow

ROOT = Path(__file__).parents[2]
HISTORY = Window(datetime(1999, 1, 1, tzinfo=UTC), datetime(2018, 12, 31, 22, 5, tzinfo=UTC))

# Pipelines built as ours are, whose steps write down what they were given; and a step of ours that
# fails of files that are not there.
DAGS = """
from dataclasses import replace
from datetime import timedelta
import riskcast_airflow.tasks as tasks
from riskcast.pipelines import MARKET_DAILY, PIPELINES, Pipeline, Step, command
from riskcast_airflow.dag import build_dag

def probe(pipeline, step, start, end, member=""):
    if pipeline == MARKET_DAILY.name:
        return command(pipeline, step, start, end)
    return ("python", "-c", {code!r}, pipeline, step, start, end, f"[{{member}}]")

tasks.command = probe
one = Step("one", "", retries=0)
declared = (
    Pipeline("good", "", (one, Step("two", "", after=("one",), retries=0)), "5 22 * * 1-5"),
    Pipeline("bad", "", (Step("breaks", "", retries=0),)),
    Pipeline("fanned", "", (replace(one, over=("a", "b", "c")),)),
    Pipeline("slow", "", (one,), due=timedelta(seconds=5)),
    Pipeline("prompt", "", (one,), due=timedelta(seconds=300)),
    Pipeline("market_daily", "", (replace(MARKET_DAILY.step("ingest_market"), retries=0),)),
)
PIPELINES |= {{each.name: each for each in declared}}
for each in declared:
    globals()[each.name] = build_dag(each, None)
"""
CODE = """
import os, sys, time
pipeline, step, start, end, member = sys.argv[1:6]
with open(os.environ["PROBE"], "a") as file:
    print(pipeline, step, start, end, os.environ["RISKCAST_ASSET"], member, file=file)
time.sleep(30 if pipeline == "slow" else 0)
sys.exit(99 if pipeline == "bad" else 0)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def inbox():
    with Inbox() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory, inbox):
    """A running Airflow with those DAGs; its address, password and what its steps wrote."""
    home = tmp_path_factory.mktemp("airflow")
    port, password = free_port(), secrets.token_hex(8)
    (home / "dags").mkdir()
    (home / "dags" / "probes.py").write_text("# airflow dag" + DAGS.format(code=CODE))
    (home / "passwords.json").write_text(json.dumps({"admin": password}))
    url = f"http://127.0.0.1:{port}"
    env = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__BASE_URL": url,
        "PROBE": str(home / "probe.txt"),
        "RISKCAST_ASSET": "QQQ",
        "RISKCAST_HOME": str(home / "house"),
        "RISKCAST_SOURCE": "files",
        "RISKCAST_FILES": str(home / "nowhere"),
        "RISKCAST_MAIL_HOST": "127.0.0.1",
        "RISKCAST_MAIL_PORT": str(inbox.server_address[1]),
        "RISKCAST_MAIL_TLS": "none",
        "RISKCAST_MAIL_TO": "ops@example.org",
    }
    airflow = str(Path(sys.executable).with_name("airflow"))
    for prepared in (["db", "migrate"], ["pools", "set", "riskcast", "2", "probes"]):
        subprocess.run([airflow, *prepared], env=env, check=True, capture_output=True)
    log = (home / "log.txt").open("w")
    started = [
        subprocess.Popen([airflow, role], env=env, cwd=home, stdout=log, stderr=log)
        for role in ("api-server", "scheduler", "dag-processor", "triggerer")
    ]
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/api/v2/version").is_success:
                break
        except httpx.HTTPError:
            time.sleep(0.5)
    yield url, password, home / "probe.txt"
    for process in started:
        process.terminate()
    for process in started:
        process.wait(120)


@pytest.fixture
def client(server):
    airflow = Airflow(server[0], "admin", server[1])
    airflow.await_dag("good")
    airflow.await_dag("bad")
    yield airflow
    airflow.close()


@pytest.mark.slow
@pytest.mark.stack
def test_a_run_of_a_window_hands_every_step_that_window_and_can_be_repeated(server, client):
    client.unpause("good")
    seen = []
    first = client.trigger_dag("good", HISTORY)
    client.wait("good", first, seconds=120, progress=seen.append)
    second = client.trigger_dag("good", HISTORY)
    client.wait("good", second, seconds=120)

    assert first == "window__19990101T000000Z__20181231T220500Z"
    assert second == first + "__2"
    assert seen[-1] == {"one": "success", "two": "success"}
    ran = [line.split() for line in server[2].read_text().splitlines()]
    ours = [row for row in ran if row[0] == "good" and Window.parse(row[2], row[3]) == HISTORY]
    assert [row[1] for row in ours] == ["one", "two", "one", "two"]
    assert {row[4] for row in ours} == {"QQQ"}


@pytest.mark.slow
@pytest.mark.stack
def test_a_run_without_an_interval_is_the_last_complete_session_day(client):
    answer = client._call(
        "POST", "dags/good/dagRuns", json={"logical_date": "2018-12-31T12:00:00+00:00"}
    ).json()
    end = datetime.fromisoformat(answer["data_interval_end"])
    assert end == datetime(2018, 12, 28, 22, 5, tzinfo=UTC)
    assert end - datetime.fromisoformat(answer["data_interval_start"]) == timedelta(days=1)


@pytest.mark.slow
@pytest.mark.stack
def test_a_failed_run_names_its_failed_tasks(client):
    client.unpause("bad")
    run_id = client.trigger_dag("bad", HISTORY)
    with pytest.raises(StackError, match="failed in breaks"):
        client.wait("bad", run_id, seconds=120)


@pytest.mark.slow
@pytest.mark.stack
def test_members_of_a_step_run_as_tasks_of_their_own(server, client):
    client.await_dag("fanned")
    client.unpause("fanned")
    run_id = client.trigger_dag("fanned", HISTORY)
    seen = []
    client.wait("fanned", run_id, seconds=120, progress=seen.append)
    ran = [line.split() for line in server[2].read_text().splitlines()]
    assert sorted(row[5] for row in ran if row[0] == "fanned") == ["[a]", "[b]", "[c]"]
    assert seen[-1] == dict.fromkeys(("one a", "one b", "one c"), "success")


def mails_about(inbox, subject: str, *, seconds: float) -> list[str]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [
            message for message in inbox.messages if f"Subject: [riskcast] {subject}" in message
        ]
        if found:
            return found
        time.sleep(1)
    return []


@pytest.mark.slow
@pytest.mark.stack
def test_the_mail_about_a_failed_task_names_the_error_its_log_and_the_page_that_helps(
    server, client, inbox
):
    client.await_dag("market_daily")
    client.unpause("market_daily")
    run_id = client.trigger_dag("market_daily", HISTORY)
    with pytest.raises(StackError, match="failed in ingest_market"):
        client.wait("market_daily", run_id, seconds=180)
    (mail,) = mails_about(inbox, "market_daily.ingest_market failed", seconds=30)
    said = text(mail)
    assert "What:    [source-missing] " in said and "exit code" not in said
    assert f"{server[0]}/dags/market_daily/runs/{run_id}/tasks/ingest_market" in said
    assert "docs/runbook.md#market_daily" in said


@pytest.mark.slow
@pytest.mark.stack
def test_a_run_past_its_deadline_is_told_once_and_one_in_time_never(client, inbox):
    """The scheduler sees it, the triggerer tells it, while the run goes on."""
    for name in ("slow", "prompt"):
        client.await_dag(name)
        client.unpause(name)
    late, prompt = client.trigger_dag("slow", HISTORY), client.trigger_dag("prompt", HISTORY)
    (mail,) = mails_about(inbox, "slow is late", seconds=120)
    assert late in text(mail) and "docs/runbook.md#slow" in text(mail)
    client.wait("prompt", prompt, seconds=120)
    client.wait("slow", late, seconds=180)
    time.sleep(20)  # several rounds of the scheduler's look at deadlines
    assert len(mails_about(inbox, "slow is late", seconds=1)) == 1
    assert mails_about(inbox, "prompt is late", seconds=1) == []


@pytest.mark.slow
@pytest.mark.stack
def test_a_dag_airflow_does_not_know_is_named(client):
    with pytest.raises(StackError, match="404"):
        client.trigger_dag("nowhere", HISTORY)
    with pytest.raises(StackError, match="knows no DAG 'nowhere'"):
        client.await_dag("nowhere", seconds=0)


@pytest.mark.slow
@pytest.mark.stack
def test_a_wrong_password_is_named(server):
    with pytest.raises(StackError, match="refused user 'admin'"):
        Airflow(server[0], "admin", "wrong").unpause("good")


def test_an_airflow_that_is_down_is_named():
    with pytest.raises(StackError, match="does not answer"):
        Airflow(f"http://127.0.0.1:{free_port()}", "admin", "x").unpause("good")


class Slow(ThreadingHTTPServer):
    """Answers as Airflow does, after leaving the first questions of each kind unanswered."""

    daemon_threads = True

    def __init__(self, silences: int, port: int = 0) -> None:
        self.silences, self.asked, self.runs = silences, [], {}
        super().__init__(("127.0.0.1", port), _Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Slow

    def do_GET(self) -> None:
        if self.path.endswith("/taskInstances"):
            self._say({"task_instances": []})
        else:
            self._say({"state": "success", **self.server.runs.get(self.path.split("/")[-1], {})})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = body.get("dag_run_id")
        if name is None:
            self._say({"access_token": "x"}, 201)
        elif name in self.server.runs:
            self._say({}, 409)
        else:
            self.server.runs[name] = body  # made, though the answer may be lost
            self._say(body)

    def _say(self, said: dict, status: int = 200) -> None:
        self.server.asked.append(self.command)
        if self.server.asked.count(self.command) <= self.server.silences:
            time.sleep(0.4)
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def slow():
    with Slow(silences=2) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_server_that_is_busy_is_asked_again_and_makes_no_second_run(slow):
    airflow = Airflow(slow.url, "admin", "x", timeout=0.2)
    first = airflow.trigger_dag("good", HISTORY)
    airflow.wait("good", first, seconds=30)
    assert list(slow.runs) == [first]
    assert slow.asked.count("POST") > 2 and slow.asked.count("GET") > 2


def test_a_second_run_of_a_window_is_not_taken_for_the_first(slow):
    airflow = Airflow(slow.url, "admin", "x", timeout=2.0)
    first = airflow.trigger_dag("good", HISTORY)
    assert airflow.trigger_dag("good", HISTORY) == first + "__2"


def test_a_server_that_stays_silent_is_given_up(slow):
    with pytest.raises(StackError, match="does not answer: ReadTimeout"):
        Airflow(slow.url, "admin", "x", timeout=0.1, patience=0.0).unpause("good")


def test_a_wait_outlives_a_server_that_is_starting_again():
    port = free_port()
    airflow = Airflow(f"http://127.0.0.1:{port}", "admin", "x")

    def start() -> None:
        time.sleep(1.5)
        with Slow(silences=0, port=port) as server:
            for _ in range(3):  # login, run, tasks
                server.handle_request()

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    airflow.wait("good", "any", seconds=30)
    thread.join(5)
