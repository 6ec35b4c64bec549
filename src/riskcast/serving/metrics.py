"""Figures for Prometheus: requests, latency, what serves, how old its features are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from riskcast.serving.live import Live

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_GAUGES = {  # name to help and labels
    "riskcast_ready": ("1 if a request would be answered.", ()),
    "riskcast_model_refused": ("1 if the assigned version could not load.", ()),
    "riskcast_model_info": (
        "The model that serves.",
        ("product", "version", "fit_end", "digest", "slot"),
    ),
    "riskcast_feature_age_seconds": ("Age of the newest features by the clock.", ()),
}


class Metrics:
    """The figures of one app, in a registry of its own."""

    def __init__(self, live: Live, *others: Collector) -> None:
        self._registry = CollectorRegistry()
        self._collectors = (_State(live), *others)
        for collector in self._collectors:
            self._registry.register(collector)
        self.requests = Counter(
            "riskcast_requests",
            "Requests answered, by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "riskcast_request_seconds",
            "Time from first byte in to last byte out, by route.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def described(self) -> list[Metric]:
        """Return every family without samples: names, kinds, labels and what they mean."""
        every: tuple[Any, ...] = (self.requests, self.seconds, *self._collectors)
        return [family for each in every for family in each.describe()]

    def exposition(self) -> bytes:
        """Return all figures in the Prometheus text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """What the server would answer from, read at scrape time."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def describe(self) -> list[Metric]:
        return [_gauge(name) for name in _GAUGES]

    def collect(self) -> Iterator[Metric]:
        live = self._live
        yield _gauge("riskcast_ready", not live.obstacles())
        yield _gauge("riskcast_model_refused", bool(live.refused))
        if loaded := live.model:
            info = _gauge("riskcast_model_info")
            model = loaded.model
            shown = (
                model.product,
                loaded.version,
                model.fit_end.isoformat(),
                loaded.digest,
                live.slot,
            )
            info.add_metric(shown, 1.0)
            yield info
        if row := live.row:
            age = (live.clock().now() - row.known_at).total_seconds()
            yield _gauge("riskcast_feature_age_seconds", age)


def _gauge(name: str, value: float | None = None) -> GaugeMetricFamily:
    told, labels = _GAUGES[name]
    return GaugeMetricFamily(name, told, value if value is None else float(value), labels or None)
