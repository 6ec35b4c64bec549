"""Every AWS call of the code is granted, and nothing is granted by a wildcard without a reason."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

pytest.importorskip("hcl2", reason="python-hcl2 of the extra dev is not installed")

from tests.terraform.hcl import TERRAFORM, as_list, folders, plain, read

ROOT = TERRAFORM.parent
# What clients call that is no method of theirs by name.
OTHERWISE = {("dynamodb", "batch_writer"): {"dynamodb:BatchWriteItem"}}
PREFIX = {"elbv2": "elasticloadbalancing", "sesv2": "ses"}
# Delta Lake and Arrow reach S3 without boto3.
LAKE = {
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket",
    "s3:AbortMultipartUpload",
}  # fmt: skip
# EcsRunTaskOperator, deferrable and reattaching, with the steps' logs shown.
AIRFLOW = {
    "ecs:RunTask", "ecs:DescribeTasks", "ecs:StopTask", "ecs:ListTasks",
    "ecs:DescribeTaskDefinition", "logs:GetLogEvents", "iam:PassRole",
}  # fmt: skip


def calls(source: str) -> set[str]:
    """IAM actions of a module's boto3 calls: what it names as methods of its clients."""
    tree = ast.parse(source)
    services = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("client", "resource")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    # A paginator and a waiter name the method as text.
    named = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} | {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    session = botocore.session.get_session()
    found: set[str] = set()
    for service in services & set(session.get_available_services()):
        for operation in session.get_service_model(service).operation_names:
            if xform_name(operation) in named:
                found.add(f"{PREFIX.get(service, service)}:{operation}")
        for (of, method), actions in OTHERWISE.items():
            if of == service and method in named:
                found |= actions
    return found


def code_calls() -> dict[str, set[str]]:
    paths = [*(ROOT / "src").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    found = {str(p.relative_to(ROOT)): p.read_text() for p in paths}
    return {name: calls(text) for name, text in found.items() if "boto3" in text}


def granted(module: str) -> set[str]:
    statements = [
        statement
        for block in read(TERRAFORM / "modules" / module).blocks
        if block.type == "aws_iam_policy_document"
        for statement in _statements(block.given)
        if plain(statement.get("effect", "Allow")) == "Allow"
    ]
    return {plain(a) for s in statements for a in as_list(s.get("actions", []))}


def _statements(given: dict) -> list[dict]:
    own = list(as_list(given.get("statement", [])))
    for item in as_list(given.get("dynamic", [])):
        own += [c for g in item.values() if isinstance(g, dict) for c in g.get("content", [])]
    return own


def test_every_call_of_the_code_is_granted_to_steps_services_or_ci():
    ci = granted("..") | granted("registry")
    allowed = granted("compute") | granted("serving") | ci
    missing = {name: sorted(used - allowed) for name, used in code_calls().items()}
    assert not {name: used for name, used in missing.items() if used}


def test_the_code_is_seen_to_call_what_it_calls():
    seen = set().union(*code_calls().values())
    assert {"dynamodb:BatchWriteItem", "s3:PutObject"} <= seen


def test_a_call_nobody_granted_is_caught():
    planted = 'import boto3\nqueue = boto3.client("sqs")\nqueue.purge_queue(QueueUrl="x")\n'
    assert calls(planted) == {"sqs:PurgeQueue"}
    assert not calls(planted) & (granted("compute") | granted("serving"))


def test_the_lake_and_airflow_are_granted_what_their_libraries_call():
    assert granted("compute") >= LAKE
    assert granted("orchestrator") >= AIRFLOW


def test_no_step_may_change_roles_or_keys_and_few_may_move_traffic():
    for action in granted("compute") - {"sts:AssumeRole"}:  # that one is in trust policies
        assert not action.startswith(("iam:", "sts:")), action
    tasks = json.loads((TERRAFORM / "declared.json").read_text())["tasks"]
    assert sorted(name for name, task in tasks.items() if "traffic" in task["services"]) == [
        "deploy", "deploy-deploy", "monitor", "monitor-guard", "rollback", "rollback-rollback",
        "train_daily_risk", "train_daily_risk-register",
    ]  # fmt: skip


def unexplained(text: str) -> list[str]:
    """Lines that grant by a wildcard and say no reason beside it."""
    return [
        line.strip()
        for line in text.splitlines()
        if re.search(r'"(\*|[\w-]+:\w*\*)"', line)
        and re.search(r"(actions|resources)\s*=|^\s*\"", line)
        and not re.search(r"#\s*\S.{5,}", line)
    ]


@pytest.mark.parametrize("path", folders(), ids=lambda p: p.name)
def test_every_wildcard_says_why(path: Path):
    for file in path.glob("*.tf"):
        assert not unexplained(file.read_text()), file


def test_a_bare_wildcard_is_caught():
    assert unexplained('    resources = ["*"]') and unexplained('    actions = ["s3:*"]')
    assert not unexplained('    resources = ["*"] # the action knows no resource')


def test_a_step_writes_only_tables_it_declares():
    tasks = json.loads((TERRAFORM / "declared.json").read_text())["tasks"]
    assert tasks["market_daily-features"]["writes"] == ["gold/features_daily", "runs"]
    assert "published" in tasks["market_daily-publish"]["writes"]
    assert tasks["market_daily-mirror"]["services"] == ["mirror"]
    everything = {"bronze", "silver", "gold", "output"}
    assert not any(everything & set(task["writes"]) for task in tasks.values())
