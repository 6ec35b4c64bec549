"""What `make run` promises, on real servers: the main job through Airflow, served by nginx."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from tests.standalone.ports import port_settings

from riskcast.core.settings import PREFIX, Settings
from riskcast.jobs.airflow_api import Airflow
from riskcast.lake import open_lake
from riskcast.lake.publish import content_hash
from riskcast.products import DAILY_RISK
from riskcast.registry import CHAMPION, Registry
from riskcast.standalone import airflow_password, airflow_url, connected
from riskcast.tables import TABLES
from riskcast.tables.output import PREDICTIONS_LOG

pytestmark = [pytest.mark.stack, pytest.mark.slow]
SESSIONS = 20  # of December 2018 and the last one of November
PROGRAM = str(Path(sys.executable).with_name("riskcast"))


def environment(settings: Settings) -> dict[str, str]:
    given = {f.name: getattr(settings, f.name) for f in fields(Settings)}
    return os.environ | {PREFIX + name.upper(): value for name, value in given.items()}


def run(settings: Settings, *arguments: str) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def versions(settings: Settings) -> dict[str, int | None]:
    lake = open_lake(settings)
    return {table.name: lake.version(table) for table in TABLES.values()}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    found = Settings(home=str(tmp_path_factory.mktemp("run") / "home"), **port_settings())
    try:
        yield found
    finally:
        run(found, "down")


@pytest.fixture(scope="module")
def block(settings):
    return run(settings, "quickstart")


def ask(settings: Settings) -> httpx.Response:
    key = (settings.keys_path / "api.key").read_text().strip()
    url = f"http://127.0.0.1:{settings.api_port}/predict"
    return httpx.post(url, json={}, headers={"X-API-Key": key}, timeout=10)


def test_the_closing_block_holds_a_forecast_the_skill_and_a_curl_that_works(settings, block):
    for words in ("volatility", "80%", "risk-off", "pool_equal", "DM p", "Airflow", "MLflow"):
        assert words in block
    command = next(line for line in block.splitlines() if line.startswith("curl"))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["as_of_date"] == "2018-12-31"


def test_the_answer_through_nginx_names_slot_and_version(settings, block):
    answer = ask(settings)
    assert answer.status_code == 200
    assert answer.headers["X-Riskcast-Slot"] == "blue"
    assert answer.headers["X-Riskcast-Model"] == f"{DAILY_RISK.name}/1"


def test_a_second_run_makes_no_new_table_version(settings, block):
    before = versions(settings)
    run(settings, "quickstart")
    assert versions(settings) == before


def content(settings: Settings) -> dict[str, str]:
    """Of every table but the log of answers, which are known by the wall clock."""
    lake = open_lake(settings)
    return {
        table.name: content_hash(lake.read(table, all_vintages=True), table)
        for table in TABLES.values()
        if table is not PREDICTIONS_LOG
    }


def scheduler(settings: Settings) -> int:
    processes = json.loads(run(settings, "status", "--json"))["processes"]
    return next(p["pid"] for p in processes if p["name"] == "airflow-scheduler")


def finished(airflow: Airflow) -> int:
    runs = airflow.run_states("market_daily").items()
    return sum(state == "success" for name, state in runs if name.startswith("backfill"))


def test_a_backfill_whose_scheduler_is_killed_goes_on_and_changes_no_row(settings, block):
    """The one windowed run that `quickstart` made is what the sessions are compared with."""
    before, began = content(settings), time.monotonic()
    airflow = Airflow(airflow_url(settings), "admin", airflow_password(settings))
    asked = [PROGRAM, "backfill", "market_daily", "--start", "2018-11-30", "--end", "2018-12-31"]
    with subprocess.Popen(asked, env=environment(settings), stderr=subprocess.PIPE) as backfill:
        while finished(airflow) < SESSIONS // 2:
            assert backfill.poll() is None, backfill.stderr.read()
            assert time.monotonic() < began + 3600
            time.sleep(5)
        killed = scheduler(settings)
        os.kill(killed, signal.SIGKILL)
        _, said = backfill.communicate(timeout=3600)
    assert backfill.returncode == 0, said
    assert finished(airflow) == SESSIONS
    assert scheduler(settings) != killed
    airflow.close()
    print(f"{(time.monotonic() - began) / SESSIONS:.1f} s a session")  # noqa: T201
    assert content(settings) == before


def test_another_champion_in_mlflow_is_rolled_out_and_serves(settings, block):
    registry = Registry(connected(settings))
    first = registry.load(DAILY_RISK.name, CHAMPION)
    tags = {"asset": settings.asset_symbol, "verdict": "promote"}
    again = registry.register(
        DAILY_RISK.name,
        first.model,
        metrics={},
        params={},
        lineage={},
        tags=tags,
        golden=first.golden,
    )
    for version in (again, first.version):
        registry.set_alias(DAILY_RISK.name, CHAMPION, version)
        until = time.monotonic() + 120
        while ask(settings).headers["X-Riskcast-Model"] != f"{DAILY_RISK.name}/{version}":
            assert time.monotonic() < until
            time.sleep(0.1)
