"""Figures for Prometheus: requests, latency, what serves, how old its features are."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from riskcast.serving.live import Live

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The figures of one app, in a registry of its own."""

    def __init__(self, live: Live, *others: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in (_State(live), *others):
            self._registry.register(collector)
        self.requests = Counter(
            "riskcast_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "riskcast_request_seconds",
            "Time from first byte in to last byte out.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """Return all figures in the Prometheus text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """What the server would answer from, read at scrape time."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def describe(self) -> list[Metric]:
        return []  # the names depend on nothing, but reading them early would need a live state

    def collect(self) -> Iterator[Metric]:
        live = self._live
        yield GaugeMetricFamily(
            "riskcast_ready", "1 if a request would be answered.", float(not live.obstacles())
        )
        yield GaugeMetricFamily(
            "riskcast_model_refused",
            "1 if the assigned version could not load.",
            float(bool(live.refused)),
        )
        if loaded := live.model:
            names = ("product", "version", "fit_end", "digest", "slot")
            info = GaugeMetricFamily("riskcast_model_info", "The model that serves.", labels=names)
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
            yield GaugeMetricFamily(
                "riskcast_feature_age_seconds", "Age of the newest features by the clock.", age
            )
