"""Steps elsewhere: on ECS (moto's server, with a local stand-in for Fargate) and in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import boto3
import pendulum
import pytest
from airflow.exceptions import AirflowException
from tests.moto_aws import moto_aws

from riskcast.core.errors import LakeError, SettingsError
from riskcast.core.settings import Settings, read_settings
from riskcast.pipelines import MARKET_DAILY, pipeline
from riskcast.runner import write_failure
from riskcast_airflow import events
from riskcast_airflow.dag import build_dag

START, END = pendulum.datetime(2018, 12, 28, 22, 5), pendulum.datetime(2018, 12, 31, 22, 5)


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """moto's server with a bucket, a cluster and task definitions; settings of place ecs."""
    from moto.moto_api import state_manager

    with moto_aws():
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
        for name, value in account(tmp_path).items():
            monkeypatch.setenv(f"RISKCAST_{name}", value)
        # A task moves when its stand-in moves it, not by being looked at.
        state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**6})
        yield
        state_manager.unset_transition("ecs::task")


def account(home: Path) -> dict[str, str]:
    """Fill an empty account; return the settings that find what is there."""
    boto3.client("s3").create_bucket(Bucket="lake")
    ec2 = boto3.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups()["SecurityGroups"][0]
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName="riskcast")
    for step in pipeline("market_daily").steps:
        ecs.register_task_definition(
            family=f"riskcast-market_daily-{step.name}",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[
                {"name": "riskcast", "image": "riskcast", "essential": True, "memory": 512}
            ],
        )
    return {
        "PLACE": "ecs",
        "HOME": str(home),
        "LAKE": "s3://lake/house",
        "ECS_CLUSTER": "riskcast",
        "ECS_SUBNETS": subnet["SubnetId"],
        "ECS_SECURITY_GROUPS": group["GroupId"],
    }


def context(run_type: str = "scheduled") -> dict:
    run = SimpleNamespace(
        run_id="scheduled__1",
        run_type=run_type,
        data_interval_start=START,
        data_interval_end=END,
        start_date=datetime.now(UTC),
    )
    return {
        "dag_run": run,
        "run_id": run.run_id,
        "params": {"start": None, "end": None},
        "triggering_asset_events": {},
        "outlet_events": {},
    }


def prepared(step: str, given: dict):
    """The step's operator, rendered and told to wait in this process."""
    dag = build_dag(MARKET_DAILY, None)
    task = dag.get_task(step)
    jinja = dag.get_template_env()
    told = given | dag.user_defined_macros
    task.overrides = task.render_template(task.overrides, told, jinja)
    task.deferrable, task.reattach, task.waiter_delay = False, False, 1
    given["task"] = task
    given["ti"] = SimpleNamespace(
        dag_id="market_daily",
        task_id=step,
        start_date=datetime.now(UTC) - timedelta(seconds=1),
        xcom_push=lambda **_: None,
    )
    return task


def fargate(run: bool, done: list) -> None:
    """Stand in for Fargate: wait for a task, run its command or lose it, and report success."""
    from moto.ecs.models import ecs_backends

    backend = ecs_backends["123456789012"]["us-east-1"]
    while not (tasks := backend.tasks.get("riskcast")):
        time.sleep(0.1)
    (task,) = tasks.values()
    if run:
        words = task.overrides["containerOverrides"][0]["command"]
        command = [sys.executable, "-c", "from riskcast.cli import main; main()", *words[1:]]
        env = {n: v for n, v in os.environ.items() if n != "RISKCAST_PLACE"}
        done.append(subprocess.run(command, env=env, capture_output=True, text=True, timeout=120))
    for container in task.containers:
        container.last_status, container.exitCode = "STOPPED", 0
    task.status = "STOPPED"


def run_on_ecs(given: dict, *, run: bool) -> list:
    done: list = []
    task = prepared("ingest_sessions", given)
    container = threading.Thread(target=fargate, args=(run, done), daemon=True)
    container.start()
    task.execute(given)
    container.join()
    return done


@pytest.mark.slow
def test_a_step_runs_on_ecs_and_its_manifest_proves_it(aws):
    given = context()
    (done,) = run_on_ecs(given, run=True)
    assert done.returncode == 0, done.stderr
    events.finish(given)
    said = events.read_manifest("market_daily", "ingest_sessions", "scheduled__1")
    assert said["rows"] == {"sessions": 1}
    assert said["as_of"] == END.isoformat()


@pytest.mark.slow
def test_a_container_that_was_lost_never_counts_as_success(aws):
    given = context()
    run_on_ecs(given, run=False)  # ECS says that all is well, but nothing ran
    with pytest.raises(AirflowException, match="left no manifest"):
        events.finish(given)


def test_a_task_on_ecs_waits_without_a_worker_and_gives_up_in_time(aws):
    dag = build_dag(pipeline("train_daily_risk"), None)
    task = dag.get_task("register")
    assert task.deferrable and task.reattach
    assert task.task_definition == "riskcast-train_daily_risk-register"
    limit = timedelta(seconds=task.waiter_delay * task.waiter_max_attempts)
    assert limit == task.execution_timeout
    assert task.pool == "default_pool"


def test_a_container_that_fails_is_told_by_the_error_its_step_has_left(aws):
    given = context()
    task = prepared("ingest_sessions", given)
    error = LakeError("the bucket is gone")
    write_failure(read_settings(), "market_daily", given["run_id"], "ingest_sessions", error)
    with pytest.raises(AirflowException, match=r"^\[lake\] the bucket is gone"):
        task.execute_complete(given, {"status": "error"})


def test_each_candidate_is_trained_in_a_container_of_its_own(aws):
    task = build_dag(pipeline("train_daily_risk"), None).get_task("walk")
    given = [each["containerOverrides"][0] for each in task.expand_input.value["overrides"]]
    said = [each["command"][each["command"].index("--member") + 1] for each in given]
    assert tuple(said) == pipeline("train_daily_risk").step("walk").over
    assert task.partial_kwargs["reattach"]  # by an id that Airflow makes from the map index too
    assert task.partial_kwargs["task_definition"] == "riskcast-train_daily_risk-walk"


def test_a_place_without_its_settings_is_refused():
    with pytest.raises(SettingsError, match="RISKCAST_ECS_CLUSTER"):
        Settings(place="ecs")
    with pytest.raises(SettingsError, match="s3://"):
        Settings(place="ecs", ecs_cluster="c", ecs_subnets="s", ecs_security_groups="g")


# What `finish` makes of manifests, on a folder.


@pytest.fixture
def manifest(monkeypatch, tmp_path):
    monkeypatch.setenv("RISKCAST_LAKE", str(tmp_path))
    from riskcast.pipelines import manifest_key

    path = tmp_path / manifest_key("market_daily", "publish", "scheduled__1")

    def write(finished_at: datetime, announced=("features_daily",)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {
            "start": START.isoformat(), "as_of": END.isoformat(), "run_id": "scheduled__1",
            "finished_at": finished_at.isoformat(), "announced": list(announced),
        }  # fmt: skip
        path.write_text(json.dumps(said))
        return path

    return write


class Sent:
    def __init__(self):
        self.events = []

    def __getitem__(self, alias):
        return SimpleNamespace(add=lambda asset, extra: self.events.append((asset.name, extra)))


def finished(run_type: str) -> list:
    given = context(run_type)
    given["task"] = build_dag(MARKET_DAILY, None).get_task("publish")
    given["outlet_events"] = Sent()
    given["ti"] = SimpleNamespace(
        dag_id="market_daily", task_id="publish", start_date=datetime.now(UTC)
    )
    events.finish(given)
    return given["outlet_events"].events


def test_an_event_carries_the_window_of_the_run_that_sent_it(manifest):
    manifest(datetime.now(UTC) + timedelta(seconds=1))
    ((name, extra),) = finished("scheduled")
    assert name == "features_daily"
    assert (extra["start"], extra["as_of"]) == (START.isoformat(), END.isoformat())


def test_a_backfill_makes_no_event_and_says_so(manifest, caplog):
    manifest(datetime.now(UTC) + timedelta(seconds=1))
    with caplog.at_level("INFO"):
        assert finished("backfill") == []
    assert "backfill: no event of features_daily is made" in caplog.text


def test_a_manifest_of_the_attempt_before_proves_nothing(manifest):
    manifest(datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(AirflowException, match="left no manifest since"):
        finished("scheduled")


def test_a_load_of_history_makes_no_event_and_says_so(manifest, caplog):
    path = manifest(datetime.now(UTC) + timedelta(seconds=1))
    said = json.loads(path.read_text()) | {"start": "1960-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(said))
    with caplog.at_level("INFO"):
        assert finished("manual") == []
    assert "no event of features_daily is made" in caplog.text
