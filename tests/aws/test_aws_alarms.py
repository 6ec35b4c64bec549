"""Alarms as Terraform makes them see what monitoring publishes, and tell the topic that mails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import boto3
import polars as pl
import pytest
from moto.cloudwatch.models import cloudwatch_backends
from tests.aws.fargate import ACCOUNT, REGION
from tests.terraform.hcl import TERRAFORM

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.cloudwatch import NAMESPACE, WATCHED, publish
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.products import DAILY_RISK

AT = datetime(2018, 12, 31, 22, 15, tzinfo=UTC)
WINDOW = Window(AT - timedelta(days=1), AT)
MODULE = TERRAFORM / "modules" / "monitoring"
FORECAST_HOURS = float(
    re.search(r"forecast_hours = optional\(number, (\d+)\)", (MODULE / "variables.tf").read_text())[
        1
    ]
)
COMPARED = "GreaterThanThreshold"


def alarm(name):
    """The words of one of Terraform's alarms."""
    text = (MODULE / "alarms.tf").read_text()
    body = text[text.index(f"      {name} = {{") :]
    said = dict(re.findall(r'(\w+)\s*=\s*"?([\w.$/]+)"?', body[: body.index("      }\n")]))
    assert said["namespace"] == "var.metrics.namespace"
    return said | {"metric": WATCHED[said["metric"].removeprefix("var.metrics.")]}


@pytest.fixture(scope="module")
def topic(cloud):
    cloudwatch_backends[ACCOUNT][REGION].reset()  # what a session has published is another's
    made = boto3.client("sns").create_topic(Name="alarms")["TopicArn"]
    cloudwatch = boto3.client("cloudwatch")
    for name, above in (("forecast-stale", FORECAST_HOURS), ("drift", 0)):
        said = alarm(name)
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace=NAMESPACE, MetricName=said["metric"],
            Dimensions=[{"Name": "Product", "Value": DAILY_RISK.name}],
            Statistic=said["statistic"], Period=int(said["period"]), EvaluationPeriods=1,
            ComparisonOperator=COMPARED, Threshold=above, AlarmActions=[made], OKActions=[made],
        )  # fmt: skip
    return made


def published(act_as, *, hours, verdict):
    """What an alarm's own query finds after a run of monitoring, published as its own role."""
    known = pl.Series([AT - timedelta(hours=hours)], dtype=pl.Datetime("us", "UTC"))
    predictions = pl.DataFrame({"slot": ["champion"], "known_at": known})
    health = health_rows(
        DAILY_RISK.name, [Finding("drift", "all", AT, 0.5, 0.4, verdict, "planted")]
    )
    act_as("monitor-cloudwatch")
    publish(
        health, predictions, settings=Settings(cloudwatch=NAMESPACE), window=WINDOW,
        product=DAILY_RISK,
    )  # fmt: skip
    act_as("setup")  # what follows is the test's own asking


def seen(found):
    """The statistic that the alarm asks for, over its period."""
    now = datetime.now(UTC)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace=found["Namespace"], MetricName=found["MetricName"],
        Dimensions=found["Dimensions"], Statistics=[found["Statistic"]], Period=found["Period"],
        StartTime=now - timedelta(days=1), EndTime=now + timedelta(days=1),
    )["Datapoints"]  # fmt: skip
    return [point[found["Statistic"]] for point in points]


def test_a_stale_forecast_and_a_drift_are_seen_by_alarms_that_tell_the_topic(topic, act_as):
    found = {
        a["AlarmName"]: a for a in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    }
    assert {name: seen(each) for name, each in found.items()} == {"forecast-stale": [], "drift": []}
    published(act_as, hours=FORECAST_HOURS + 1, verdict="alarm")
    for each in found.values():
        (value,) = seen(each)
        assert value > each["Threshold"], each["AlarmName"]
        assert each["AlarmActions"] == [topic]
        answering = boto3.client("cloudwatch").describe_alarms_for_metric(
            MetricName=each["MetricName"], Namespace=NAMESPACE, Dimensions=each["Dimensions"]
        )
        assert [a["AlarmName"] for a in answering["MetricAlarms"]] == [each["AlarmName"]]
