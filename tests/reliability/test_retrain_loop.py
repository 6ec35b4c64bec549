"""Drift that stays: few retrainings, none on unsound data, a mail once (RELIABILITY 14 and 19)."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.alerts.smtp_server import smtp_server
from tests.serving.serving_world import EVER
from tests.serving.serving_world import rows as feature_rows

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.monitor import _follow
from riskcast.jobs.notify import notify
from riskcast.jobs.react import react
from riskcast.lake.memory import MemoryLake
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.products import PRODUCTS
from riskcast.tables import gold, output

PRODUCT = next(iter(PRODUCTS.values()))
FIRST = datetime(2018, 12, 31, 21, 15, tzinfo=UTC)
DAYS = [FIRST + timedelta(days=i) for i in range(30)]
COOL_DOWN = 20


def drifted(at):
    return Finding("drift", "all", at, 0.6, 0.3, "alarm", "18 series left their past")


def live(days, findings_of, settings, lake):
    """Run check, notify and react day by day; return what was announced, by day."""
    announced = {}
    for i, at in enumerate(days):
        window = Window(at - timedelta(days=1), at)
        found = findings_of(at)
        found += _follow(found, lake.read(output.HEALTH), days[: i + 1], window, settings)
        lake.write(output.HEALTH, health_rows(PRODUCT.name, found), window)
        health = lake.read(output.HEALTH, as_of=at)
        nothing = (lake.read(t) for t in (output.PREDICTIONS_DAILY, gold.LABELS_DAILY))
        notify(health, *nothing, settings=settings, lake=lake, window=window, product=PRODUCT)
        said = []
        react(health, window=window, announce=said.append)
        announced[at] = said
    return announced


@pytest.fixture
def world(tmp_path):
    lake = MemoryLake()
    lake.write(gold.FEATURES_DAILY, feature_rows(), EVER)
    with smtp_server() as inbox:
        yield lake, inbox, Settings(
            home=str(tmp_path), mail_host="127.0.0.1", mail_port=str(inbox.port),
            mail_tls="none", mail_to="desk@example.org", cool_down=str(COOL_DOWN),
        )  # fmt: skip


def test_permanent_drift_for_30_days_retrains_once_a_cool_down_and_is_mailed_once(world):
    lake, inbox, settings = world
    announced = live(DAYS, lambda at: [drifted(at)], settings, lake)
    asked = [DAYS.index(at) for at, said in announced.items() if said]
    assert asked == [0, COOL_DOWN + 1]
    subjects = [message["Subject"].strip() for _, _, _, message in inbox.mails]
    assert len([s for s in subjects if s.startswith("Await the retraining")]) == 2
    assert len([s for s in subjects if s.startswith("Read forecasts with care")]) == 1
    assert len(subjects) == 3


@pytest.mark.parametrize("check", ["freshness", "missing", "skew"])
def test_nothing_is_retrained_on_unsound_data_and_it_is_once_they_are_sound(world, check):
    lake, _, settings = world

    def found(at):
        verdict = "alarm" if at < DAYS[3] else "ok"
        return [drifted(at), Finding(check, "features_daily", at, 9.0, 1.0, verdict, "unsound")]

    announced = live(DAYS[:6], found, settings, lake)
    assert [DAYS.index(at) for at, said in announced.items() if said] == [3]


def test_a_retraining_is_never_a_promotion_by_itself(world):
    lake, _, settings = world
    live(DAYS, lambda at: [drifted(at)], settings, lake)
    for table in (output.DEPLOYMENTS, output.ROLLOUTS, output.DECISIONS):
        assert lake.read(table).is_empty()
    assert lake.read(output.HEALTH).filter(pl.col("check") == "retrain").height == 2
