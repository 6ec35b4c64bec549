"""A click in MLflow's own pages moves what `/predict` answers with, and back."""

import os
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from serving_world import EVER, rows
from small_model import small_model
from tests.rollout.rollout_house import PRODUCT, QUICK, until
from tests.standalone.ports import port_settings

from riskcast.core.settings import Settings
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.rollout import open_machine
from riskcast.rollout.golden import record
from riskcast.standalone import connected, down, tail_logs, up
from riskcast.standalone.configure import configure
from riskcast.standalone.layout import MLFLOW_ADMIN, Layout, mlflow_password
from riskcast.standalone.processes import declare
from riskcast.tables import gold

pytestmark = [pytest.mark.stack, pytest.mark.slow]
CHROMIUM = Path("/usr/bin/chromium")
NEEDED = ("postgres", "redis", "mlflow", "mlflow-users", "blue", "green", "nginx", "rollout-watch")
SHOWN = 60_000  # milliseconds a page may take on a busy machine


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The stack's servers that a click passes through; version 1 serves, version 2 waits."""
    home = tmp_path_factory.mktemp("click")
    home.chmod(0o755)
    settings = Settings(home=str(home / "home"), **port_settings(), **QUICK)
    layout = Layout.of(settings)
    layout.make()
    configure(settings, layout, print)
    # The servers run what is tested, and read features from the lake: Feast is not in question.
    changed = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "RISKCAST_REDIS": ""}
    processes = tuple(
        replace(process, environment={**process.environment, **changed})
        for process in declare(settings, layout)
        if process.name in NEEDED
    )
    try:
        up(settings, processes=processes)
        client = connected(settings)
        registry, lake = Registry(client), open_lake(client)
        lake.write(gold.FEATURES_DAILY, rows(), EVER)
        versions = [register(registry, shift) for shift in (0.0, 0.1)]
        machine = open_machine(client, PRODUCT, registry, lake)
        machine.carry_out(machine.ask(versions[0], who="test", why="first"), print)
        until(lambda: served(settings) == f"{PRODUCT}/1", lambda: served(settings))
        yield settings
    finally:
        down(settings)


@pytest.fixture
def page(stack):
    """MLflow's page of version 2, logged in as its admin."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM.exists(), "this test needs Debian's package chromium"
    login = {"username": MLFLOW_ADMIN, "password": mlflow_password(Layout.of(stack), MLFLOW_ADMIN)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(http_credentials=login)
        opened.set_default_timeout(SHOWN)
        opened.goto(f"http://127.0.0.1:{stack.mlflow_port}/mlflow/#/models/{PRODUCT}/versions/2")
        yield opened
        browser.close()


def test_the_alias_champion_promotes_and_the_stage_archived_takes_back(stack, page, tmp_path):
    page.get_by_role("button", name="Add", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill("champion")
    page.keyboard.press("Enter")
    clicked = time.monotonic()
    dialog.get_by_role("button", name="Save aliases").click()
    until(lambda: "version 2 asked for by mlflow" in tail_logs(stack, "rollout-watch", 50))
    assert time.monotonic() - clicked < 10
    until(lambda: served(stack) == f"{PRODUCT}/2", lambda: tail_logs(stack, "rollout-watch", 50))
    until(lambda: champion(stack) == "2")
    page.reload()
    page.get_by_text("@ champion").wait_for()
    page.screenshot(path=tmp_path / "promoted.png")

    page.get_by_label("New model registry UI").click()  # stages are only in the former one
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    page.get_by_text("Production", exact=True).click()
    page.get_by_role("menuitem").filter(has_text="Archived").click()
    page.screenshot(path=tmp_path / "archiving.png")
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    until(lambda: served(stack) == f"{PRODUCT}/1", lambda: tail_logs(stack, "rollout-watch", 50))
    until(lambda: champion(stack) == "1")
    page.reload()
    page.get_by_text("Archived", exact=True).wait_for()
    page.screenshot(path=tmp_path / "archived.png")


def register(registry, shift):
    model, frame = small_model(shift=shift), rows()
    inputs = frame.select(model.columns).to_numpy(), frame.select(model.thresholds).to_numpy()
    return registry.register(
        PRODUCT,
        model,
        metrics={"qlike": 0.3},
        params={},
        lineage={},
        tags={"verdict": "promote", "reason": "planted"},
        golden=record(model, *inputs),
    )


def champion(settings):
    return Registry(connected(settings)).alias(PRODUCT, "champion")


def served(settings):
    key = (settings.keys_path / "api.key").read_text().strip()
    url = f"http://127.0.0.1:{settings.api_port}/predict"
    answer = httpx.post(url, json={}, headers={"X-API-Key": key}, timeout=10, trust_env=False)
    return answer.headers["X-Riskcast-Model"] if answer.status_code == 200 else answer.text
