"""The runner: steps asked for over HTTP are begun once, and nothing but steps can be asked for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.pipelines import pipeline
from riskcast.standalone.launch import seen
from riskcast.worker.app import Asked
from riskcast.worker.runs import Run, Runs, read_log, run_id

ASKED = {
    "pipeline": "market_daily",
    "step": "features",
    "run_id": "scheduled__2018-12-31T22:05:00+00:00",
    "attempt": "first",
    "start": "2018-12-28T22:05:00+00:00",
    "end": "2018-12-31T22:05:00+00:00",
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """A runner on loopback with a `riskcast` that tells its arguments and waits a little."""
    folder = tmp_path_factory.mktemp("runner")
    keys = folder / "keys"
    keys.mkdir()
    (keys / "runner").write_text("token")
    program = folder / "bin" / "riskcast"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\necho "TOKEN=$TOKEN"\nsleep ${LASTS:-1}\necho over\n')
    program.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "RISKCAST_HOME": str(folder),
        "RISKCAST_KEYS": str(keys),
        "RISKCAST_RUNNER_URL": url,
        "RISKCAST_CORES": "1",
    }
    server = subprocess.Popen([sys.executable, "-m", "riskcast.worker"], env=environment)
    until = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/health").is_success:
                break
        except httpx.TransportError:
            assert time.monotonic() < until, "the runner did not start"
            time.sleep(0.1)
    yield url
    server.terminate()
    assert server.wait(20) in (0, -signal.SIGTERM)


@pytest.fixture
def client(runner):
    with httpx.Client(base_url=runner, headers={"Authorization": "Bearer token"}) as client:
        yield client


def ended(client, run: str) -> dict:
    until = time.monotonic() + 30
    while (said := client.get(f"/runs/{run}").json())["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    return said


def test_a_step_runs_as_its_one_command_line_and_shows_its_log(client):
    begun = client.post("/runs", json={**ASKED, "run_id": "log"})
    assert begun.status_code == 202
    said = ended(client, begun.json()["id"])
    assert said["state"] == "succeeded"
    assert said["log"].splitlines()[0] == (
        "run market_daily features --start 2018-12-28T22:05:00+00:00 "
        "--end 2018-12-31T22:05:00+00:00 --run-id=log --no-backfill"
    )
    assert said["log"].endswith("over\n")


def test_whoever_asks_again_finds_the_step_that_runs(client):
    first = client.post("/runs", json={**ASKED, "run_id": "again"}).json()
    second = client.post("/runs", json={**ASKED, "run_id": "again", "attempt": "second"}).json()
    assert second["id"] == first["id"] and second["attempt"] == "first"
    assert ended(client, first["id"])["log"].count("over") == 1


def test_a_request_that_is_repeated_after_the_end_begins_nothing_and_a_new_attempt_does(client):
    first = client.post("/runs", json={**ASKED, "run_id": "repeat"}).json()
    ended(client, first["id"])
    assert client.post("/runs", json={**ASKED, "run_id": "repeat"}).json()["state"] == "succeeded"
    anew = client.post("/runs", json={**ASKED, "run_id": "repeat", "attempt": "second"}).json()
    assert anew["state"] == "running" and anew["attempt"] == "second"
    ended(client, anew["id"])


def test_a_step_beyond_what_the_machine_may_run_is_told_to_wait(client):
    first = client.post("/runs", json={**ASKED, "run_id": "one"}).json()
    assert client.post("/runs", json={**ASKED, "run_id": "two"}).status_code == 429
    ended(client, first["id"])


def test_a_step_can_be_ended(client):
    begun = client.post("/runs", json={**ASKED, "run_id": "end"}).json()
    client.delete(f"/runs/{begun['id']}")
    said = ended(client, begun["id"])
    assert said["state"] == "failed" and said["exit_code"] == -signal.SIGTERM


@pytest.mark.parametrize("token", ["", "Bearer other", "Bearer tokens", "Basic token"])
def test_nobody_without_the_token_runs_or_sees_anything(runner, token):
    headers = {"Authorization": token} if token else {}
    with httpx.Client(base_url=runner, headers=headers) as stranger:
        assert stranger.post("/runs", json=ASKED).status_code in (401, 403)
        assert stranger.get("/runs/anything").status_code in (401, 403)
        assert stranger.delete("/runs/anything").status_code in (401, 403)


@pytest.mark.parametrize(
    "changed",
    [
        {"pipeline": "no_such"},
        {"step": "no_such"},
        {"member": "no_such"},
        {"start": "2018-12-31T22:05:00"},
        {"start": ASKED["end"]},
        {"params": {"anything": "x"}},
        {"run_id": "a; rm -rf /"},
        {"run_id": "$(id)"},
        {"environment": {"A": "b"}},
        {"command": ["id"]},
    ],
)
def test_what_is_no_step_with_a_window_is_refused(client, changed):
    assert client.post("/runs", json={**ASKED, **changed}).status_code == 422


def test_members_of_a_step_run_side_by_side_under_names_of_their_own():
    walk = {**ASKED, "pipeline": "train_daily_risk", "step": "walk"}
    members = pipeline("train_daily_risk").step("walk").over
    asked = [Asked.model_validate({**walk, "member": member}) for member in members]
    assert [a.command()[-4:-2] for a in asked] == [("--member", member) for member in members]
    names = {run_id(a.pipeline, a.step, a.run_id, a.member) for a in asked}
    assert len(names) == len(members) > 1


@given(st.text(max_size=40))
def test_no_text_of_a_request_becomes_an_option_of_its_own(text):
    try:
        asked = Asked.model_validate({**ASKED, "run_id": text})
    except ValueError:
        return
    words = asked.command()
    assert words[:4] == ("riskcast", "run", "market_daily", "features")
    assert f"--run-id={text}" in words and len(words) == 10
    assert datetime.fromisoformat(words[5]).tzinfo == UTC


def run_of(tmp_path, command: list[str]) -> tuple[Runs, Run]:
    runs = Runs(tmp_path, 1)
    return runs, runs.begin("name", "attempt", command)


def test_what_does_not_end_when_asked_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr("riskcast.worker.runs.GRACE", 0.2)
    stubborn = "trap '' TERM; sleep 60 & echo $!; wait; wait"
    runs, run = run_of(tmp_path, ["sh", "-c", stubborn])
    while not run.log.read_text():
        time.sleep(0.02)
    child = int(run.log.read_text())
    runs.end(run)
    while run.state == "running":
        runs.watch()
        time.sleep(0.05)
    assert run.process.returncode == -signal.SIGKILL
    time.sleep(0.1)
    assert seen(child) is None


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path):
    _, run = run_of(tmp_path, ["sh", "-c", "echo whole; printf half; sleep 0.6; echo ' more'"])
    time.sleep(0.3)
    assert read_log(run, 0) == ("whole\n", 6)
    run.process.wait(5)
    assert read_log(run, 6) == ("half more\n", 16)
