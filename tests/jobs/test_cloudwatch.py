"""Verdicts reach CloudWatch (moto's server), the newest of all; refusals are named."""

from datetime import UTC, datetime, timedelta

import boto3
import polars as pl
import pytest
from tests.moto_aws import moto_aws

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.cloudwatch import WATCHED, publish
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.products import PRODUCTS

PRODUCT = next(iter(PRODUCTS.values()))
AT = datetime(2018, 12, 31, 21, 15, tzinfo=UTC)
WINDOW = Window(AT - timedelta(days=2), AT)


@pytest.fixture(scope="module")
def aws():
    with moto_aws():
        yield


def finding(subject, verdict, at=AT, value=0.5):
    return Finding("drift", subject, at, value, 0.4, verdict, "because")


def forecasts(*hours_ago, slot="champion"):
    known = [AT - timedelta(hours=hours) for hours in hours_ago]
    schema = {"slot": pl.String, "known_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame({"slot": [slot] * len(known), "known_at": known}, schema=schema)


def sent(found, namespace="riskcast", window=WINDOW, predictions=None):
    settings = Settings(cloudwatch=namespace)
    health = health_rows(PRODUCT.name, found)
    predictions = forecasts() if predictions is None else predictions
    publish(health, predictions, settings=settings, window=window, product=PRODUCT)


def value(namespace, name, **dimensions):
    client = boto3.client("cloudwatch")
    now = datetime.now(UTC)
    got = client.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in got["Datapoints"]]


def test_the_newest_verdict_of_every_subject_arrives_however_many_there_are(aws):
    found = [finding(f"s{i}", "ok") for i in range(600)]
    sent(
        [*found, finding("bad", "alarm", value=3.5), finding("s0", "alarm", AT - timedelta(days=1))]
    )
    one = {"Product": PRODUCT.name, "Check": "drift"}
    assert value("riskcast", "Verdict", **one, Subject="bad") == [2.0]
    assert value("riskcast", "Value", **one, Subject="bad") == [3.5]
    assert value("riskcast", "Verdict", **one, Subject="s0") == [0.0]
    assert value("riskcast", "Verdict", **one, Subject="s599") == [0.0]
    assert value("riskcast", "Alarms", **one) == [1.0]


def test_what_lies_outside_the_window_is_not_published(aws):
    sent([finding("old", "alarm", AT - timedelta(days=9))], "quiet")
    assert value("quiet", "Alarms", Product=PRODUCT.name, Check="drift") == []


def test_a_finding_without_a_value_has_a_verdict_only(aws):
    sent([finding("none", "ok", value=None)], "early")
    one = {"Product": PRODUCT.name, "Check": "drift", "Subject": "none"}
    assert value("early", "Verdict", **one) == [0.0]
    assert value("early", "Value", **one) == []


def test_what_alarms_watch_is_said_by_product_alone(aws):
    qlike = Finding("skill", "champion.qlike", AT, 0.6, 0.9, "ok", "", {"promised": 0.4})
    known = pl.concat([forecasts(3, 27), forecasts(1, slot="challenger")])
    sent([finding("all", "alarm"), finding("vix", "ok"), qlike], "watched", predictions=known)
    said = {name: value("watched", name, Product=PRODUCT.name) for name in WATCHED.values()}
    assert said == {
        "ForecastAgeHours": [3.0], "DriftAlarm": [1.0], "RealisedLossRatio": [pytest.approx(1.5)],
    }  # fmt: skip


def test_what_cannot_be_said_yet_is_not_said(aws):
    young = Finding("skill", "champion.qlike", AT, None, None, "ok", "too few sessions")
    sent([young, finding("all", "ok")], "young")
    said = {name: value("young", name, Product=PRODUCT.name) for name in WATCHED.values()}
    assert said == {"ForecastAgeHours": [], "DriftAlarm": [0.0], "RealisedLossRatio": []}


def test_without_a_namespace_nothing_is_asked_of_aws(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    sent([finding("bad", "alarm")], namespace="")


def test_a_cloudwatch_that_does_not_answer_is_named(monkeypatch):
    for name, text in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, text)
    with pytest.raises(StackError, match="RISKCAST_CLOUDWATCH='riskcast'"):
        sent([finding("bad", "alarm")])
