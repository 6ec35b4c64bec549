"""What `make run` promises, on real servers: the main job through Airflow, served by nginx."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from statistics import median
from urllib.parse import quote

import httpx
import pytest
from rich.console import Console
from tests.standalone.ports import port_settings

from riskcast.core.settings import PREFIX, Settings
from riskcast.core.window import Window
from riskcast.jobs.airflow_api import Airflow
from riskcast.lake import open_lake
from riskcast.lake.publish import content_hash
from riskcast.pipelines import PIPELINES
from riskcast.products import DAILY_RISK
from riskcast.registry import CHAMPION, Registry
from riskcast.rollout.journal import Journal
from riskcast.standalone import airflow_password, airflow_url, connected
from riskcast.tables import TABLES
from riskcast.tables.output import PREDICTIONS_LOG

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from soak import faults, show, soak

pytestmark = [pytest.mark.stack, pytest.mark.slow]
SESSIONS = 20  # of December 2018 and the last one of November
LAST_SESSION = Window.parse("2018-12-28T22:05:00+00:00", "2018-12-31T22:05:00+00:00")
PROGRAM = str(Path(sys.executable).with_name("riskcast"))


def environment(settings: Settings) -> dict[str, str]:
    given = {f.name: getattr(settings, f.name) for f in fields(Settings)}
    # RISKCAST_SHOTS and the like are the tests' own; a command would refuse them.
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {PREFIX + name.upper(): value for name, value in given.items()}


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
    return {
        table.name: lake.version(table)
        for table in TABLES.values()
        if table is not PREDICTIONS_LOG  # grows by what was asked meanwhile
    }


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


def backfilled(airflow: Airflow) -> dict[str, str]:
    """The state of each run of the backfill by its run id."""
    runs = airflow.run_states("market_daily").items()
    return {name: state for name, state in runs if name.startswith("backfill")}


def finished(airflow: Airflow) -> int:
    return sum(state == "success" for state in backfilled(airflow).values())


def until_finished(airflow: Airflow, sessions: int, *, seconds: float = 3600) -> None:
    began = time.monotonic()
    while finished(airflow) < sessions:
        assert "failed" not in backfilled(airflow).values()
        assert time.monotonic() < began + seconds, backfilled(airflow)
        time.sleep(5)


def seconds_by_task(airflow: Airflow, dag: str, run_id: str) -> dict[str, float]:
    """What each task of a run took, by Airflow's own account, and the run as a whole."""
    path = f"dags/{dag}/dagRuns/{quote(run_id, safe='')}"
    tasks = airflow._call("GET", f"{path}/taskInstances").json()["task_instances"]
    whole = airflow._call("GET", path).json()
    took = {each["task_id"]: each["duration"] or 0.0 for each in tasks}
    began, ended = (datetime.fromisoformat(whole[key]) for key in ("start_date", "end_date"))
    return {**took, "in all": (ended - began).total_seconds()}


@pytest.fixture(scope="module")
def airflow(settings, block):
    found = Airflow(airflow_url(settings), "admin", airflow_password(settings))
    yield found
    found.close()


@pytest.fixture
def page(settings, block, request):
    """Airflow's pages behind nginx, signed in; screenshots go to the folder in RISKCAST_SHOTS."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        url = f"http://127.0.0.1:{settings.api_port}"
        page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        page.goto("/airflow/")
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(airflow_password(settings))
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Dags").first.wait_for()
        yield page
        shot(page, request.node.name)
        browser.close()


def shot(page, name: str) -> None:
    if folder := os.environ.get("RISKCAST_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def ask_for_a_backfill(page, first: str, last: str) -> None:
    """As a person does: the DAG's page, Trigger, Backfill, both dates, all runs."""
    page.goto("/airflow/dags/market_daily")
    page.get_by_role("button", name="Trigger").first.click()
    page.locator("label", has_text="Run this Dag for a range of dates").click()
    page.locator("input[name=from_date]").fill(first)
    page.locator("input[name=to_date]").fill(last)
    page.locator("label", has_text="All Runs").click()
    shot(page, "backfill-asked")
    page.get_by_role("button", name="Run Backfill").click()
    page.get_by_role("button", name="Run Backfill").wait_for(state="hidden")


def test_a_backfill_from_the_ui_whose_scheduler_is_killed_goes_on_and_changes_no_row(
    settings, airflow, page
):
    """The one windowed run that `quickstart` made is what the sessions are compared with."""
    before, began = content(settings), time.monotonic()
    # Airflow names an interval by its start: the tick of the session before.
    ask_for_a_backfill(page, "2018-11-29T22:05", "2018-12-28T22:05")
    until_finished(airflow, SESSIONS // 2)
    killed = scheduler(settings)
    os.kill(killed, signal.SIGKILL)
    shot(page, "backfill-killed")
    until_finished(airflow, SESSIONS)
    assert len(backfilled(airflow)) == SESSIONS
    assert scheduler(settings) != killed
    each = [seconds_by_task(airflow, "market_daily", run_id) for run_id in backfilled(airflow)]
    work = median(sum(took for name, took in one.items() if name != "in all") for one in each)
    whole = (time.monotonic() - began) / SESSIONS
    print(f"{whole:.1f} s a session, of which its tasks work {work:.1f} s")  # noqa: T201
    print(min(each, key=lambda one: one["in all"]))  # noqa: T201
    assert content(settings) == before


def test_minutes_of_requests_leave_memory_and_descriptors_where_they_were(settings, block):
    result = soak(settings, float(os.environ.get("RISKCAST_SOAK_MINUTES", "3")))
    show(result, Console(width=110))
    assert faults(result) == []


def another_champion(settings: Settings) -> tuple[str, str]:
    """Register the champion's model once more; return the new version and the champion's."""
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
    return again, first.version


def promote(settings: Settings, version: str) -> None:
    """Move the alias, as a click in MLflow does, and wait until the rollout has ended."""
    Registry(connected(settings)).set_alias(DAILY_RISK.name, CHAMPION, version)
    journal, until = Journal(open_lake(settings), DAILY_RISK.name), time.monotonic() + 180
    # A canary answers long before; a request made meanwhile would be refused as late.
    while journal.under_way() is not None or journal.champions()[-1] != version:
        assert time.monotonic() < until, journal.rollouts()[-1]
        time.sleep(0.5)
    assert ask(settings).headers["X-Riskcast-Model"] == f"{DAILY_RISK.name}/{version}"


def test_another_champion_in_mlflow_is_rolled_out_and_serves(settings, block):
    for version in another_champion(settings):
        promote(settings, version)


# From the end of the sample's data on, so that nothing newer than the sample is asked for.
BY_HAND = ("fit_regimes", "macro_release", "train_daily_risk", "market_daily", "deploy", "rollback")


def test_every_dag_was_green_once(settings, airflow, page):
    promote(settings, another_champion(settings)[0])  # for rollback to have a way back
    for dag in BY_HAND:
        airflow.unpause(dag)
        airflow.wait(dag, airflow.trigger_dag(dag, LAST_SESSION), seconds=1800)
    until = time.monotonic() + 900
    while not all("success" in airflow.run_states(dag).values() for dag in PIPELINES):
        states = {dag: airflow.run_states(dag) for dag in PIPELINES}
        assert time.monotonic() < until, states
        time.sleep(5)
    page.goto("/airflow/dags")
    for dag in PIPELINES:
        page.get_by_text(dag, exact=True).first.wait_for()
    shot(page, "every-dag")
    took = seconds_by_task(airflow, "market_daily", newest(airflow, "market_daily"))
    print(took)  # noqa: T201


def newest(airflow: Airflow, dag: str) -> str:
    runs = airflow.run_states(dag)
    return next(name for name in runs if name.startswith("window__20181228"))
