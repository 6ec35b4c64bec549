"""The verdicts of a monitoring run as CloudWatch metrics, for alarms and dashboards on AWS."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import polars as pl

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake.rows import inside
from riskcast.products import Product

# What alarms and dashboards watch, by Product; `riskcast docs` tells Terraform the same names.
NAMESPACE = "Riskcast"
WATCHED = MappingProxyType(
    {
        "forecast_age": "ForecastAgeHours",  # of the champion's newest forecast, at the run's end
        "drift": "DriftAlarm",  # 1 while drift alarms, else 0
        "loss": "RealisedLossRatio",  # realised QLIKE over what the walk-forward record promised
    }
)
BATCH = 500  # of at most 1000 that one request may hold, within its 1 MB
SEVERITY = {"ok": 0.0, "warn": 1.0, "alarm": 2.0}


def publish(
    health: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    settings: Settings,
    window: Window,
    product: Product,
) -> None:
    """Put the window's newest findings into the namespace of ``RISKCAST_CLOUDWATCH``.

    `Verdict` (0 ok, 1 warn, 2 alarm) and `Value` by Product, Check and Subject, `Alarms` by
    Product and Check, and what is `WATCHED` by Product. They are stamped by the time of
    publication: CloudWatch takes nothing that is older than two weeks.

    Raises
    ------
    StackError
        If CloudWatch does not answer or refuses.
    """
    if not settings.cloudwatch:
        return
    found = health.filter(inside(window), product=product.name)
    data = metrics(found, product.name) + watched(found, predictions, window, product.name)
    if not data:
        return
    # Imported here: paid for only where there is a namespace.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("cloudwatch")
        for start in range(0, len(data), BATCH):
            client.put_metric_data(
                Namespace=settings.cloudwatch, MetricData=data[start : start + BATCH]
            )
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"CloudWatch did not take {len(data)} metrics of RISKCAST_CLOUDWATCH="
            f"{settings.cloudwatch!r}: {error}; see cloudwatch:PutMetricData, AWS_DEFAULT_REGION "
            "and the credentials"
        ) from error


def metrics(found: pl.DataFrame, product: str) -> list[dict[str, Any]]:
    """Return the data of the newest finding of each check and subject."""
    latest = found.filter(pl.col("at") == pl.col("at").max().over("check"))
    data = []
    for row in latest.sort("check", "subject").iter_rows(named=True):
        names = _dimensions(Product=product, Check=row["check"], Subject=row["subject"])
        data.append(_datum("Verdict", SEVERITY[row["verdict"]], names))
        if row["value"] is not None and math.isfinite(row["value"]):
            data.append(_datum("Value", row["value"], names))
    counts = latest.group_by("check").agg((pl.col("verdict") == "alarm").sum().alias("alarms"))
    for check, alarms in counts.sort("check").iter_rows():
        data.append(_datum("Alarms", float(alarms), _dimensions(Product=product, Check=check)))
    return data


def watched(
    found: pl.DataFrame, predictions: pl.DataFrame, window: Window, product: str
) -> list[dict[str, Any]]:
    """Return the data of `WATCHED`; what cannot be said yet is left out, never guessed."""
    latest = found.filter(pl.col("at") == pl.col("at").max().over("check"))
    values: dict[str, float] = {}
    newest = predictions.filter(slot="champion")["known_at"].max()
    if newest is not None:
        values["forecast_age"] = (window.end - newest) / timedelta(hours=1)  # type: ignore[operator]
    drift = latest.filter(check="drift")
    if drift.height:
        values["drift"] = float((drift["verdict"] == "alarm").any())
    skill = latest.filter(pl.col("value").is_not_null(), check="skill", subject="champion.qlike")
    for value, figures in skill.select("value", "figures").iter_rows():
        values["loss"] = value / json.loads(figures)["promised"]
    return [_datum(WATCHED[n], v, _dimensions(Product=product)) for n, v in values.items()]


def _dimensions(**names: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in names.items()]


def _datum(name: str, value: float, dimensions: list[dict[str, str]]) -> dict[str, Any]:
    return {"MetricName": name, "Value": value, "Dimensions": dimensions}
