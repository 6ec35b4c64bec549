"""What monitoring last found, as gauges for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from riskcast.core.clock import Clock
from riskcast.lake.base import Lake
from riskcast.tables import Table

LABELS = ("product", "check", "subject")
SEVERITY = {"ok": 0.0, "warn": 1.0, "alarm": 2.0}


class Health(Collector):
    """The newest finding of each check and subject; the lake is read only if the table moved.

    Parameters
    ----------
    clock : callable
        Returns the clock that ages go by: over a sample it stands at the newest session.
    """

    def __init__(self, lake: Lake, table: Table, product: str, clock: Any) -> None:
        self._lake, self._table, self._product, self._clock = lake, table, product, clock
        self._version: int | None = None
        self._found: Sequence[dict[str, Any]] = ()

    def describe(self) -> list[Metric]:
        return list(_families())

    def collect(self) -> Iterator[Metric]:
        verdict, value, bound, age = _families()
        now, checks = self._clock().now(), {}
        for each in self._newest():
            labels = [self._product, each["check"], each["subject"]]
            verdict.add_metric(labels, SEVERITY[each["verdict"]])
            for family, name in ((value, "value"), (bound, "threshold")):
                if each[name] is not None:
                    family.add_metric(labels, each[name])
            checks[each["check"]] = (now - each["at"]).total_seconds()
        for check, seconds in checks.items():
            age.add_metric([self._product, check], seconds)
        yield from (verdict, value, bound, age)

    def _newest(self) -> Sequence[dict[str, Any]]:
        version = self._lake.version(self._table)
        if version is not None and version != self._version:
            frame = self._lake.read(self._table, as_of=Clock().now())
            self._found, self._version = newest(frame, self._product), version
        return self._found


def _families() -> tuple[GaugeMetricFamily, ...]:
    """Return the gauges of verdict, value, threshold and age, without samples."""
    return (
        GaugeMetricFamily("riskcast_health_verdict", "0 ok, 1 warn, 2 alarm.", labels=LABELS),
        GaugeMetricFamily("riskcast_health_value", "What was found.", labels=LABELS),
        GaugeMetricFamily("riskcast_health_threshold", "Bound it was held against.", labels=LABELS),
        GaugeMetricFamily(
            "riskcast_health_age_seconds", "Age of the check by the clock.", labels=LABELS[:2]
        ),
    )


def newest(health: pl.DataFrame, product: str) -> list[dict[str, Any]]:
    """Return what the newest run of each check found, a row for each subject.

    What an earlier run looked at and the newest did not is no finding of today.
    """
    own = health.filter(product=product)
    return list(
        own.filter(pl.col("at") == pl.col("at").max().over("check"))
        .sort("check", "subject")
        .iter_rows(named=True)
    )
