"""The commands on skill: what they refuse by name, and the page a report ends in."""

import json
import re

import pytest
from typer.testing import CliRunner

from riskcast.cli import app
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step

STEPS = ("ingest_sessions", "ingest_market", "ingest_macro", "curate_market", "curate_macro",
         "fit_regimes", "features", "labels")  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKCAST_HOME", str(tmp_path / "home"))

    def said(*words: str):
        return CliRunner().invoke(app, list(words))

    return said


def test_a_start_that_is_no_date_is_refused(run):
    result = run("report", "--start", "yesterday")
    assert result.exit_code != 0
    assert "yesterday" in str(result.exception or result.output)


def test_a_report_on_an_empty_lake_says_that_history_is_missing(run):
    result = run("report")
    assert result.exit_code != 0
    assert "NotEnoughHistory" in repr(result.exception) or "history" in result.output.lower()


@pytest.mark.parametrize("command", [("report",), ("search", "gamma_glm")])
def test_an_unknown_product_is_refused_naming_those_that_exist(run, command):
    result = run(*command, "--product", "weather")
    assert result.exit_code != 0
    assert "daily_risk" in str(result.exception or result.output)


@pytest.mark.slow
def test_report_and_search_work_on_what_the_pipeline_made(run, tmp_path, monkeypatch):
    ports = Ports(Settings(home=str(tmp_path / "home")))
    window = Window.parse("1995-01-01", "2004-12-30")
    for name in STEPS:
        run_step(MARKET_DAILY.step(name), window, ports)
    result = run("report", "--start", "2003-06-02")
    assert result.exit_code == 0, result.output
    (page,) = (tmp_path / "home" / "reports").glob("skill_daily_risk_2004*.html")
    assert str(page) in re.sub(r"\s", "", result.output)
    text = page.read_text()
    for heading in ("Skill", "Along time", "Regime probabilities", "Intervals",
                    "What moves the forecast", "States of the market"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in text
    pytest.importorskip("optuna", reason="Optuna, of the extra lab, is not installed")
    found = run("search", "gamma_glm", "--minutes", "0.05")
    assert found.exit_code == 0, found.output
    assert json.loads(found.output.splitlines()[-1])["trials"] >= 1
