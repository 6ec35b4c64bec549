"""Airflow's own calls: it starts a step on ECS, follows it and reads its manifest, and no more."""

from __future__ import annotations

import boto3
import pytest
from tests.aws.fargate import Fargate
from tests.aws.grants import refused, role, step
from tests.dags.test_places import context, prepared

from riskcast_airflow import events

CLUSTER, BUCKET = "airflow", "airflow-lake"
STEP = "market_daily-ingest_sessions"


@pytest.fixture
def placed(cloud, monkeypatch, tmp_path):
    """A cluster with the definition of one step, and the settings of place ecs."""
    ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    ecs.create_cluster(clusterName=CLUSTER)
    told = {"RISKCAST_HOME": str(tmp_path), "RISKCAST_LAKE": f"s3://{BUCKET}"}
    ecs.register_task_definition(
        family=f"riskcast-{STEP}",
        taskRoleArn=f"arn:aws:iam::123456789012:role/airflow-{STEP}",
        requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
        containerDefinitions=[{
            "name": "riskcast", "image": "riskcast:0123abc", "essential": True, "memory": 512,
            "environment": [{"name": n, "value": v} for n, v in told.items()],
        }],
    )  # fmt: skip
    settings = told | {
        "RISKCAST_PLACE": "ecs",
        "RISKCAST_ECS_CLUSTER": CLUSTER,
        "RISKCAST_ECS_SUBNETS": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "RISKCAST_ECS_SECURITY_GROUPS": ec2.describe_security_groups()["SecurityGroups"][0][
            "GroupId"
        ],
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    fargate = Fargate(cloud, CLUSTER)
    yield fargate
    fargate.close()


def test_airflow_runs_a_step_with_the_rights_it_has(cloud, placed, act_as):
    given = context()
    task = prepared("ingest_sessions", given)
    act_as("airflow")
    task.execute(given)
    events.finish(given)
    act_as("setup")
    (done,) = placed.ended
    assert done.returncode == 0, done.stderr
    made = [call for call in cloud.calls if call.role == "airflow"]
    granted = (*role("modules/orchestrator", "start"), *role("modules/orchestrator", "airflow"))
    assert {"ecs:RunTask", "ecs:DescribeTasks", "s3:GetObject"} <= {call.action for call in made}
    assert refused(made, granted) == []
    own = [call for call in cloud.calls if call.role == f"airflow-{STEP}"]
    assert own and refused(own, step(STEP)) == []
