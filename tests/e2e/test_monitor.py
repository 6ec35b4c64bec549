"""Monitoring on real sessions: scored as labels mature, the same by day and by backfill."""

import shutil

import polars as pl
import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY, PIPELINES
from riskcast.products import DAILY_RISK
from riskcast.registry import Registry
from riskcast.runner import Ports, run_pipeline
from riskcast.tables.output import HEALTH, LOSSES, PREDICTIONS_DAILY

pytestmark = pytest.mark.slow
HISTORY = Window.parse("1960-01-01", "2006-12-29")
MONTHS = Window.parse("2007-01-01", "2007-03-08")
DAYS = ("2007-03-06", "2007-03-07", "2007-03-08")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    ports = Ports(Settings(home=str(home)))
    for pipeline in FIRST_RUN:
        run_pipeline(pipeline, HISTORY, ports)
    run_pipeline(MARKET_DAILY, MONTHS, ports)
    return home


@pytest.fixture
def ports(home, tmp_path):
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    return Ports(Settings(home=str(tmp_path / "home")))


def monitor(ports, window):
    for step in ("score", "check"):
        run_pipeline(PIPELINES["monitor"], window, ports, only=step)


def content(ports, table):
    return open_lake(ports.settings).read(table).drop("ingested_at")


def test_every_matured_forecast_is_scored_beside_the_benchmark_and_again_changes_nothing(ports):
    monitor(ports, MONTHS)
    live = content(ports, LOSSES).filter(pl.col("evaluation") == "live")
    champion, benchmark = (
        live.filter(pl.col("model") == name)["date"].sort() for name in ("champion", "log_har")
    )
    assert champion.len() == benchmark.len() == 41
    assert (live["known_at"] <= MONTHS.end).all()
    before = {t.name: open_lake(ports.settings).version(t) for t in (LOSSES, HEALTH)}
    monitor(ports, MONTHS)
    assert before == {t.name: open_lake(ports.settings).version(t) for t in (LOSSES, HEALTH)}


def test_days_one_by_one_find_what_a_backfill_finds(home, ports, tmp_path):
    monitor(ports, MONTHS)
    whole = content(ports, HEALTH)
    shutil.copytree(home, tmp_path / "daily", symlinks=True)
    daily = Ports(Settings(home=str(tmp_path / "daily")))
    monitor(daily, Window.parse("2007-01-01", "2007-03-05"))
    for day in DAYS:
        monitor(daily, Window.parse(day, day))
    assert content(daily, HEALTH).equals(whole)


def test_the_crash_of_february_2007_asks_for_one_retraining(ports):
    monitor(ports, MONTHS)
    asked = content(ports, HEALTH).filter(
        (pl.col("check") == "retrain") & (pl.col("at") > pl.datetime(2007, 2, 27, time_zone="UTC"))
    )
    assert asked.height <= 1


def test_a_previous_champion_is_forecast_and_scored_beside_the_champion(ports):
    registry = Registry(ports.settings)
    registry.set_alias(DAILY_RISK.name, "previous", "1")
    loaded = registry.load(DAILY_RISK.name, "1")
    second = registry.register(
        DAILY_RISK.name, loaded.model, metrics={}, params={}, lineage={}, tags={}
    )
    registry.set_alias(DAILY_RISK.name, "champion", second)
    run_pipeline(MARKET_DAILY, Window.parse("2007-03-09", "2007-03-20"), ports)
    monitor(ports, Window.parse("2007-03-09", "2007-03-20"))
    slots = content(ports, PREDICTIONS_DAILY).filter(pl.col("date") > pl.date(2007, 3, 8))
    counts = dict(slots.group_by("slot").len().iter_rows())
    assert counts == {"champion": 8, "previous": 8}
    found = content(ports, HEALTH).filter(pl.col("check") == "guardrail").sort("at")
    last = found.row(-1, named=True)
    assert (last["subject"], last["verdict"]) == (second, "ok")
    assert last["value"] == 0.0  # the same model twice: nothing can be worse
    assert last["threshold"] > 0
