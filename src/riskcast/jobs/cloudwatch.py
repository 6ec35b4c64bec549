"""The verdicts of a monitoring run as CloudWatch metrics, for alarms and dashboards on AWS."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake.rows import inside
from riskcast.products import Product

BATCH = 500  # of at most 1000 that one request may hold, within its 1 MB
SEVERITY = {"ok": 0.0, "warn": 1.0, "alarm": 2.0}


def publish(health: pl.DataFrame, *, settings: Settings, window: Window, product: Product) -> None:
    """Put the window's newest findings into the namespace of ``RISKCAST_CLOUDWATCH``.

    `Verdict` (0 ok, 1 warn, 2 alarm) and `Value` by Product, Check and Subject, `Alarms` by
    Product and Check. They are stamped by the time of publication: CloudWatch takes nothing that
    is older than two weeks.

    Raises
    ------
    StackError
        If CloudWatch does not answer or refuses.
    """
    if not settings.cloudwatch:
        return
    data = metrics(health.filter(inside(window), product=product.name), product.name)
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


def _dimensions(**names: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in names.items()]


def _datum(name: str, value: float, dimensions: list[dict[str, str]]) -> dict[str, Any]:
    return {"MetricName": name, "Value": value, "Dimensions": dimensions}
