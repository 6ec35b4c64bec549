"""What monitoring found is on /metrics, newest only, and a leak of tomorrow's would show."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from riskcast.core.clock import Clock
from riskcast.core.window import Window
from riskcast.lake.memory import MemoryLake
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.serving.health import Health
from riskcast.tables.output import HEALTH

AT = datetime(2018, 12, 31, 21, 15, tzinfo=UTC)
EVER = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def lake():
    return MemoryLake()


def write(lake, *found):
    lake.write(HEALTH, health_rows("daily_risk", found), EVER)


def scraped(health):
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(health)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, sample.labels["check"], sample.labels.get("subject")): sample.value
        for family in families
        for sample in family.samples
    }


def health_of(lake):
    clock = Clock("sample", AT + timedelta(hours=1))
    return Health(lake, HEALTH, "daily_risk", lambda: clock)


def test_verdict_value_bound_and_age_of_the_newest_check_are_gauges(lake):
    write(lake, Finding("drift", "tv5", AT - timedelta(days=1), 9.0, 1.0, "alarm", "far"))
    health = health_of(lake)
    assert scraped(health)["riskcast_health_verdict", "drift", "tv5"] == 2
    write(
        lake,
        Finding("drift", "tv5", AT, 0.5, 1.0, "ok", "near"),
        Finding("skill", "champion.brier", AT, None, None, "warn", "none yet"),
    )
    assert scraped(health) == {
        ("riskcast_health_verdict", "drift", "tv5"): 0,
        ("riskcast_health_verdict", "skill", "champion.brier"): 1,
        ("riskcast_health_value", "drift", "tv5"): 0.5,
        ("riskcast_health_threshold", "drift", "tv5"): 1.0,
        ("riskcast_health_age_seconds", "drift", None): 3600,
        ("riskcast_health_age_seconds", "skill", None): 3600,
    }


def test_before_the_first_check_there_is_nothing(lake):
    assert scraped(health_of(lake)) == {}


def test_a_finding_known_only_later_is_not_shown(lake):
    later = datetime.now(UTC) + timedelta(days=1)
    write(lake, Finding("drift", "tv5", later, 9.0, 1.0, "alarm", "far"))
    assert scraped(health_of(lake)) == {}
    write(lake, Finding("drift", "tv5", AT, 9.0, 1.0, "alarm", "far"))
    assert scraped(health_of(lake))["riskcast_health_verdict", "drift", "tv5"] == 2
