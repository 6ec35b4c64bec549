"""Outputs of Terraform are settings the code takes, and DAGs render for them."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from riskcast.cli.cloud import declared
from riskcast.core.settings import PREFIX, Settings, read_settings
from riskcast.jobs.cloudwatch import NAMESPACE, WATCHED
from riskcast.pipelines import PIPELINES

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[1] / "terraform"
KNOWN = {PREFIX + field.name.upper() for field in fields(Settings)}
# As `terraform output -json riskcast` gives them, with identifiers of an account of examples.
SETTINGS = json.loads((HERE / "outputs.json").read_text())["settings"]
ROUTED = "RISKCAST_ROUTER" in KNOWN
needs_router = pytest.mark.skipif(not ROUTED, reason="this version has no router alb")


def named_in_terraform() -> set[str]:
    text = "".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
    text += "".join(path.read_text() for path in (TERRAFORM / "modules").glob("*/*.tf"))
    return set(re.findall(r"\b(RISKCAST_[A-Z_]*[A-Z])\b(?!\.\.\.)", text))


@needs_router
def test_terraform_sets_only_settings_there_are():
    assert named_in_terraform() <= KNOWN, sorted(named_in_terraform() - KNOWN)


def test_the_example_has_every_setting_terraform_gives_out():
    given = {name for role in SETTINGS.values() for name in role}
    # Redis is a secret; cores depend on the size of the task.
    assert named_in_terraform() - given <= {"RISKCAST_REDIS", "RISKCAST_CORES"}


@pytest.mark.parametrize(
    "role", [pytest.param(r, marks=needs_router if r == "rollout" else ()) for r in SETTINGS]
)
def test_every_role_reads_its_settings(role):
    settings = read_settings(SETTINGS[role])
    assert settings.lake_root == "s3://riskcast-test-lake-123456789012"
    assert settings.live


def test_a_step_is_told_where_forecasts_are_mirrored():
    step = read_settings(SETTINGS["step"])
    assert step.dynamodb_table == "riskcast-test-predictions"
    assert step.mlflow_uri.startswith("http://mlflow.")


@pytest.mark.parametrize("role", ["move", "rollout", "blue", "green"])
def test_whoever_asks_after_traffic_reaches_each_colour_at_its_own_address(role):
    settings = read_settings(SETTINGS[role])
    assert settings.router == "alb" and settings.alb_rule_arns.keys() == {"daily_risk"}
    assert settings.blue_url == "http://blue.riskcast-test.internal:8001"
    assert settings.green_url == "http://green.riskcast-test.internal:8002"


def test_no_other_role_is_told_where_traffic_goes():
    for role in SETTINGS.keys() - {"move", "rollout", "blue", "green"}:
        assert read_settings(SETTINGS[role]).router == "nginx", role


def test_each_colour_is_told_its_own():
    assert read_settings(SETTINGS["blue"]).slot == "blue"
    assert read_settings(SETTINGS["green"]).slot == "green"


def test_what_terraform_reads_follows_from_the_declarations():
    assert (TERRAFORM / "declared.json").read_text() == declared()


def test_alarms_watch_what_monitoring_publishes_and_nothing_else():
    text = "".join(p.read_text() for p in (TERRAFORM / "modules" / "monitoring").glob("*.tf"))
    assert set(re.findall(r"var\.metrics\.(\w+)", text)) == {"namespace", *WATCHED}
    told = json.loads((TERRAFORM / "declared.json").read_text())["metrics"]
    assert told == {"namespace": NAMESPACE, **WATCHED}
    assert read_settings(SETTINGS["step"]).cloudwatch == NAMESPACE
    assert not any(name in text for name in (*WATCHED.values(), f'"{NAMESPACE}"'))


def test_every_dag_renders_for_ecs_and_every_task_has_its_definition(monkeypatch):
    import tests.dags.airflow_home  # noqa: F401 - a home of its own, and plugins/ on the path

    pytest.importorskip("airflow")
    from riskcast_airflow.dag import build_dag
    from riskcast_airflow.fargate import Container

    for name, value in SETTINGS["dag"].items():
        monkeypatch.setenv(name, value)
    tasks = json.loads(declared())["tasks"]
    rendered = 0
    for pipeline in PIPELINES.values():
        for task in build_dag(pipeline, None).tasks:
            operator = getattr(task, "operator_class", type(task))
            assert operator is Container, f"{pipeline.name}.{task.task_id}: {operator}"
            given = task.partial_kwargs if task.is_mapped else vars(task)
            family = given["task_definition"].removeprefix("riskcast-test-")
            assert family in tasks, f"Terraform defines no task {family}"
            assert given["cluster"] == "riskcast-test"
            vpc = given["network_configuration"]["awsvpcConfiguration"]
            assert vpc["assignPublicIp"] == "DISABLED" and len(vpc["subnets"]) == 2
            rendered += 1
    assert rendered == sum(len(pipeline.steps) for pipeline in PIPELINES.values())
