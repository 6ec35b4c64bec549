"""Place `docker`: a task asks the runner for its step and stays with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import httpx
import pendulum
import pytest
from airflow.exceptions import AirflowException

from riskcast.core.clock import wall
from riskcast.core.errors import LakeError
from riskcast.core.settings import read_settings
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import write_failure
from riskcast_airflow.dag import build_dag

START, END = pendulum.datetime(2018, 12, 28, 22, 5), pendulum.datetime(2018, 12, 31, 22, 5)
STEP = """#!/bin/sh
echo "$@"
sleep ${LASTS}
echo "after ${LASTS} s"
exit ${CODE}
"""


@pytest.fixture
def runner(monkeypatch, tmp_path, request):
    """A real runner whose `riskcast` is a shell script; settings of place docker."""
    lasts, code = getattr(request, "param", ("0.5", "0"))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "runner").write_text("token")
    program = tmp_path / "riskcast"
    program.write_text(STEP)
    program.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for name, value in {
        "RISKCAST_PLACE": "docker",
        "RISKCAST_RUNNER_URL": url,
        "RISKCAST_HOME": str(tmp_path),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LASTS": lasts,
        "CODE": code,
    }.items():
        monkeypatch.setenv(name, value)
    server = subprocess.Popen([sys.executable, "-m", "riskcast.worker"])
    until = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/health")
            break
        except httpx.TransportError:
            assert time.monotonic() < until, "the runner did not start"
            time.sleep(0.1)
    yield server
    server.kill()
    server.wait()


def context():
    """What Airflow tells a task of itself."""
    task = SimpleNamespace(
        dag_id="market_daily", task_id="features", map_index=-1, start_date=wall()
    )
    return {"ti": task, "run_id": "scheduled__1"}


def prepared(step: str, **params: str):
    """The step's operator, rendered as Airflow renders it."""
    dag = build_dag(MARKET_DAILY, None)
    task = dag.get_task(step)
    run = SimpleNamespace(
        run_id="scheduled__1", run_type="scheduled",
        data_interval_start=START, data_interval_end=END,
    )  # fmt: skip
    told = {
        "dag_run": run, "run_id": run.run_id, "params": {"start": None, "end": None, **params},
        "triggering_asset_events": {}, **dag.user_defined_macros,
    }  # fmt: skip
    task.asked = task.render_template(task.asked, told, dag.get_template_env())
    return task


def test_the_task_shows_the_log_of_the_step_and_ends_with_it(runner, caplog):
    with caplog.at_level("INFO"):
        prepared("features").execute(context())
    assert (
        "run market_daily features --start 2018-12-28T22:05:00+00:00 "
        "--end 2018-12-31T22:05:00+00:00 --run-id=scheduled__1 --no-backfill"
    ) in caplog.text
    assert "after 0.5 s" in caplog.text


@pytest.mark.parametrize("runner", [("0", "3")], indirect=True)
def test_a_step_that_fails_fails_the_task_with_its_exit_code(runner):
    with pytest.raises(AirflowException, match="exit code 3"):
        prepared("features").execute(context())


@pytest.mark.parametrize("runner", [("2", "3")], indirect=True)
def test_a_step_that_named_its_error_fails_the_task_with_it(runner):
    asked = context()
    error = LakeError("the disk is full")
    write_failure(read_settings(), "market_daily", "scheduled__1", "features", error)
    with pytest.raises(AirflowException, match=r"\[lake\] the disk is full"):
        prepared("features").execute(asked)


@pytest.mark.parametrize("runner", [("3", "0")], indirect=True)
def test_a_task_begun_anew_finds_the_step_that_runs(runner, caplog):
    first = prepared("features")
    lost = threading.Thread(target=lambda: first.execute(context()), daemon=True)
    lost.start()
    while not first.begun:
        time.sleep(0.05)
    with caplog.at_level("INFO"):
        prepared("features").execute(context())
    assert "found running, begun by an earlier attempt" in caplog.text
    lost.join(10)


@pytest.mark.parametrize("runner", [("60", "0")], indirect=True)
def test_killing_the_task_ends_the_step(runner):
    task = prepared("features")
    outcome: list[str] = []

    def execute() -> None:
        try:
            task.execute(context())
        except AirflowException as error:
            outcome.append(str(error))

    running = threading.Thread(target=execute, daemon=True)
    running.start()
    while not task.begun:
        time.sleep(0.05)
    task.on_kill()
    running.join(20)
    assert outcome == ["the step ended with exit code -15"]


@pytest.mark.parametrize("runner", [("60", "0")], indirect=True)
def test_a_runner_that_is_gone_fails_the_task(runner, monkeypatch):
    monkeypatch.setattr("riskcast_airflow.runner.PATIENCE", 1.0)
    task = prepared("features")
    threading.Timer(1.5, runner.kill).start()
    with pytest.raises(AirflowException, match="does not answer"):
        task.execute(context())
