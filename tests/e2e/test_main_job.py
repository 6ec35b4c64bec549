"""The main job on a small window: data in, a gated model and a forecast out."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from riskcast.core.errors import GateRefused
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY, TRAIN_DAILY_RISK
from riskcast.products import DAILY_RISK
from riskcast.registry import CHAMPION, Registry
from riskcast.runner import Ports, run_pipeline
from riskcast.tables import TABLES
from riskcast.tables.gold import FEATURES_DAILY, LABELS_DAILY
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, LOSSES, PREDICTIONS_DAILY

HISTORY = Window.parse("1960-01-01", "2006-12-29")


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    return Settings(home=str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def lake(settings):
    ports = Ports(settings)
    for pipeline in FIRST_RUN:
        run_pipeline(pipeline, HISTORY, ports)
    return open_lake(settings)


@pytest.fixture
def own(settings, lake, tmp_path) -> Settings:
    """A copy of the home, for tests that change something."""
    shutil.copytree(settings.home, tmp_path / "home", symlinks=True)
    return Settings(home=str(tmp_path / "home"))


def versions(lake):
    return {table.name: lake.version(table) for table in TABLES.values()}


def test_a_forecast_of_the_last_session_comes_out(lake):
    row = lake.read(PREDICTIONS_DAILY).row(0, named=True)
    assert str(row["date"]) == "2006-12-29"
    assert 0.003 < row["rv_5d_hat"] < 0.1
    assert row["lo_95"] < row["lo_80"] < row["rv_5d_hat"] < row["hi_80"] < row["hi_95"]
    assert row["p_calm"] + row["p_transition"] + row["p_risk_off"] == pytest.approx(1)
    assert len(row["top_drivers"]) == 5


def test_the_forecast_names_what_it_was_made_from(lake, settings):
    lineage = json.loads(lake.read(PREDICTIONS_DAILY)["lineage"][0])
    assert lineage["tables"] == {t.name: lake.version(t) for t in (FEATURES_DAILY, LABELS_DAILY)}
    loaded = Registry(settings).load(DAILY_RISK.name, CHAMPION)
    assert lineage["digest"] == loaded.digest


def test_the_champion_was_evaluated_gated_registered_and_written_down(lake, settings):
    decision = lake.read(DECISIONS).row(0, named=True)
    assert decision["verdict"] == "promote"
    figures = json.loads(decision["figures"])
    assert figures["qlike"] < figures["qlike_hv20"]
    version = Registry(settings).versions(DAILY_RISK.name)[0]
    assert CHAMPION in version.aliases
    assert version.metrics["qlike"] == pytest.approx(figures["qlike"])
    ledger = lake.read(DEPLOYMENTS).row(0, named=True)
    assert (ledger["model_version"], ledger["action"]) == (version.version, "promote")


def test_simulated_columns_reached_no_model(lake, settings):
    model = Registry(settings).load(DAILY_RISK.name, CHAMPION).model
    assert not [name for name in model.columns if FEATURES_DAILY.column(name).symbols]
    assert "log_har_vix" not in set(lake.read(LOSSES)["model"])


def test_what_others_read_is_published(lake, settings):
    root = Path(settings.published_root)
    assert (root / "predictions_daily_20061229.parquet").exists()
    published = pl.read_parquet(root / "features_daily", hive_partitioning=False)
    assert published.height == lake.read(FEATURES_DAILY).height


def test_running_everything_again_makes_no_new_version(lake, settings):
    before = versions(lake)
    for pipeline in FIRST_RUN:
        run_pipeline(pipeline, HISTORY, Ports(settings))
    assert versions(open_lake(settings)) == before
    assert len(Registry(settings).versions(DAILY_RISK.name)) == 1


def test_running_single_days_again_makes_no_new_version(lake, settings):
    before = versions(lake)
    for day in ("2006-12-21", "2006-12-22", "2006-12-26"):
        run_pipeline(MARKET_DAILY, Window.parse(day, day), Ports(settings))
    assert versions(open_lake(settings)) == before


def test_a_new_session_is_forecast_by_the_standing_champion(own):
    done = run_pipeline(MARKET_DAILY, Window.parse("2007-01-01", "2007-01-03"), Ports(own))
    assert {r.step: r.rows for r in done}["forecast"] == {PREDICTIONS_DAILY.name: 1}
    last = open_lake(own).read(PREDICTIONS_DAILY).sort("date").row(-1, named=True)
    assert (str(last["date"]), last["model_version"]) == ("2007-01-03", "1")


def test_a_refused_recipe_leaves_the_champion_and_fails_the_step(own):
    lake = open_lake(own)
    decided = lake.read(DECISIONS)
    refused = decided.with_columns(verdict=pl.lit("refuse"), reason=pl.lit("planted"))
    lake.write(DECISIONS, refused, HISTORY)
    with pytest.raises(GateRefused, match="planted"):
        run_pipeline(TRAIN_DAILY_RISK, HISTORY, Ports(own), only="register")
    assert Registry(own).alias(DAILY_RISK.name, CHAMPION) == "1"
