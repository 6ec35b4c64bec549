"""A market_daily session on S3, each step as its own role and the next one as the scheduler's."""

from __future__ import annotations

import boto3
import pytest
from small_model import small_model
from tests.aws.fargate import Fargate, until
from tests.aws.grants import refused, role, step
from tests.aws.recorder import Call

from riskcast.core.settings import Settings, read_settings
from riskcast.core.window import Window
from riskcast.jobs.eventbridge import DUE, targets
from riskcast.lake import open_lake
from riskcast.online.mirror import ATTRIBUTES, KEY_SCHEMA
from riskcast.pipelines import MARKET_DAILY, MONITOR
from riskcast.registry import Registry
from riskcast.runner import Ports, run_step, write_manifest
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.output import PREDICTIONS_DAILY

HISTORY = Window.parse("1960-01-01", "2006-12-29")
SESSION = Window.parse("2006-12-30", "2007-01-03")
ELSEWHERE = ("monitor-guard",)  # traffic moves in the tests of releases
SENDER = "risk@example.com"
NEXT = Window.parse("2007-01-03", "2007-01-04")


@pytest.fixture(scope="module")
def settings(cloud, tmp_path_factory) -> Settings:
    """A lake in a bucket with its history, a mirror, and a champion."""
    boto3.client("s3").create_bucket(Bucket="lake")
    boto3.client("dynamodb").create_table(
        TableName="predictions",
        KeySchema=list(KEY_SCHEMA),
        AttributeDefinitions=list(ATTRIBUTES),
        BillingMode="PAY_PER_REQUEST",
    )
    home = tmp_path_factory.mktemp("aws")
    made = Settings(
        home=str(home), lake="s3://lake", dynamodb_table="predictions", cloudwatch="Riskcast",
        mail_by="ses", mail_from=SENDER, mail_to="ops@example.com",
    )  # fmt: skip
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    ports = Ports(made)
    for each in MARKET_DAILY.ordered():
        if each.name not in ("forecast", "publish", "materialise", "mirror"):
            run_step(each, HISTORY, ports)
    registry = Registry(made)
    columns = ("tv1", "tv5", "tv22", "spy_vol_10d")
    version = registry.register(
        "daily_risk", small_model(columns=columns, fit_end=HISTORY.end.date()),
        metrics={}, params={}, lineage={}, tags={},
    )  # fmt: skip
    registry.set_alias("daily_risk", "champion", version)
    return made


@pytest.fixture(scope="module")
def session(cloud, settings):
    """The session, step by step, each with the keys of its own role; then its monitoring."""
    with pytest.MonkeyPatch.context() as patch:
        for pipeline in (MARKET_DAILY, MONITOR):
            for each in pipeline.ordered():
                role = f"{pipeline.name}-{each.name}"
                if role in ELSEWHERE:
                    continue
                for name, value in cloud.environment(role).items():
                    patch.setenv(name, value)
                boto3.setup_default_session()
                report = run_step(each, SESSION, Ports(settings))
                write_manifest(settings, pipeline.name, "aws", SESSION, report)
    boto3.setup_default_session()
    return settings


def test_the_session_is_forecast_published_and_mirrored(session):
    lake = open_lake(session)
    rows = lake.read(PREDICTIONS_DAILY).sort("date")
    assert rows["date"][-1] == lake.read(FEATURES_DAILY)["date"].max()
    items = boto3.resource("dynamodb").Table("predictions").scan()["Items"]
    assert {item["date_slot"] for item in items} == {f"{day}#champion" for day in rows["date"]}
    keys = boto3.client("s3").list_objects_v2(Bucket="lake", Prefix="published/")["Contents"]
    assert any(key["Key"].endswith(".parquet") for key in keys)


def names(pipeline):
    return [f"{pipeline.name}-{each.name}" for each in pipeline.ordered()]


@pytest.mark.parametrize(
    "name", [n for n in (*names(MARKET_DAILY), *names(MONITOR)) if n not in ELSEWHERE]
)
def test_a_step_calls_nothing_that_its_role_may_not(cloud, session, name):
    made = [call for call in cloud.calls if call.role == name]
    assert made and refused(made, step(name)) == []


def test_every_step_is_seen_to_call_what_it_is_there_for(cloud, session):
    assert "s3:PutObject" in cloud.by("market_daily-features")
    assert cloud.by("market_daily-mirror") >= {"s3:GetObject", "dynamodb:BatchWriteItem"}
    assert "cloudwatch:PutMetricData" in cloud.by("monitor-cloudwatch")
    assert "ses:SendRawEmail" in cloud.by("monitor-notify")


def test_a_call_that_nobody_granted_is_caught():
    features = step("market_daily-features")
    planted = [
        Call("x", "s3:PutObject", "bronze/raw.market/1.parquet"),  # it may only read that
        Call("x", "s3:GetObject", "gold/features_daily_private/1.parquet"),
        Call("x", "dynamodb:BatchWriteItem"),
        Call("x", "cloudwatch:PutMetricData"),
    ]
    allowed = Call("x", "s3:PutObject", "gold/features_daily/_delta_log/0.json")
    assert refused([*planted, allowed], features) == planted


def test_the_scheduler_starts_the_next_session_whole_in_one_task(cloud, session):
    ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
    secret = boto3.client("secretsmanager").create_secret(
        Name="riskcast-aws/asset", SecretString='{"asset": "GSPC"}'
    )["ARN"]
    ecs.create_cluster(clusterName="aws")
    told = {
        "RISKCAST_HOME": session.home, "RISKCAST_LAKE": session.lake,
        "RISKCAST_DYNAMODB_TABLE": session.dynamodb_table, "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    ecs.register_task_definition(
        family="riskcast-aws-market_daily",
        taskRoleArn="arn:aws:iam::123456789012:role/market_daily",
        requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
        containerDefinitions=[{
            "name": "riskcast", "image": "riskcast:0123abc", "essential": True, "memory": 512,
            "environment": [{"name": n, "value": v} for n, v in told.items()],
            "secrets": [{"name": "RISKCAST_ASSET", "valueFrom": f"{secret}:asset::"}],
        }],
    )  # fmt: skip
    target = targets()["market_daily"]["input"]
    words = target["containerOverrides"][0]["command"]
    words[words.index(DUE)] = NEXT.end.isoformat()
    fargate = Fargate(cloud, "aws")
    environment = fargate.environment(
        ecs.describe_task_definition(taskDefinition="riskcast-aws-market_daily")["taskDefinition"]
    )
    assert read_settings(
        {n: v for n, v in environment.items() if n.startswith("RISKCAST_")}
    ).asset == "GSPC"  # fmt: skip
    as_scheduler = boto3.Session(
        aws_access_key_id="scheduler", aws_secret_access_key="test", region_name="us-east-1"
    ).client("ecs", endpoint_url=cloud.url)
    try:
        as_scheduler.run_task(
            cluster="aws",
            taskDefinition="riskcast-aws-market_daily",
            launchType="FARGATE",
            overrides=target,
            networkConfiguration={"awsvpcConfiguration": {
                "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
                "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
            }},
        )  # fmt: skip
        until(lambda: fargate.ended)
    finally:
        fargate.close()
    (done,) = fargate.ended
    assert done.returncode == 0, done.stderr
    rows = open_lake(session).read(PREDICTIONS_DAILY).sort("date")
    assert str(rows["date"][-1]) == "2007-01-04"
    made = {r: [c for c in cloud.calls if c.role == r] for r in ("market_daily", "scheduler")}
    assert refused(made["market_daily"], step("market_daily")) == []
    starts = (*role("modules/orchestrator", "start"), *role("modules/orchestrator", "scheduler"))
    assert made["scheduler"] and refused(made["scheduler"], starts) == []
