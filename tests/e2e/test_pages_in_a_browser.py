"""Every page behind nginx, opened by a real browser: it shows itself whole, and says no error.

Screenshots go to the folder in RISKCAST_SHOTS.
"""

import os
import shutil
import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from tests.e2e.axe import grave_faults
from tests.e2e.small_stack import small_stack

from riskcast.lake import open_lake
from riskcast.standalone import airflow_password
from riskcast.standalone.layout import Layout, mlflow_password
from riskcast.tables import gold, output

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from serving_world import EVER, published, rows

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.stack,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
REPORT = "<!doctype html><html lang=en><title>Report</title><h1>Drift of vix</h1><a href=./>all</a>"
PATIENCE = 180_000  # milliseconds; Streamlit draws in steps, a busy machine slowly


def of_console(settings):
    return ("admin", (settings.keys_path / "console").read_text().strip())


@pytest.fixture(scope="module")
def settings():
    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as folder, small_stack(Path(folder)) as found:
        lake = open_lake(found)
        lake.write(gold.FEATURES_DAILY, rows(), EVER)
        lake.write(output.PREDICTIONS_DAILY, published(), EVER)
        (found.reports_path / "drift.html").write_text(REPORT)
        with smtplib.SMTP("127.0.0.1", int(found.smtp_port), timeout=10) as server:
            server.send_message(mail())
        yield found


def mail():
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Drift in vix", "a@x.test", "b@x.test"
    message["Date"] = "Mon, 31 Dec 2018 16:15:00 -0500"
    message.set_content("Retrain: vix drifted.")
    message.add_alternative("<p>Retrain: <b>vix drifted</b>.</p>", subtype="html")
    message.add_attachment(b"<h1>r</h1>", maintype="text", subtype="html", filename="report.html")
    return message


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(settings, chromium, request):
    """Open a path with a login; at the end, nothing may have gone wrong in the page."""
    wrong, contexts = [], []

    def heard(text):
        if "Failed to load resource" not in text:  # `answered` names the resource
            wrong.append(text)

    def answered(response):
        # Before a login there are 401s; a browser asks any site for an icon; and Airflow's page
        # asks for its version once before it has read its own base path.
        strange = response.status >= 400 and response.status != 401
        if strange and not response.url.endswith(("/favicon.ico", "/api/v2/version")):
            wrong.append(f"{response.status} {response.url}")

    def opened(path, login=None):
        login = login or of_console(settings)
        context = chromium.new_context(
            base_url=f"http://127.0.0.1:{settings.api_port}",
            http_credentials={"username": login[0], "password": login[1]},
            viewport={"width": 1280, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda said: said.type == "error" and heard(said.text))
        page.on("response", answered)
        page.goto(path)
        return page

    yield opened
    if shots := os.environ.get("RISKCAST_SHOTS"):
        for n, context in enumerate(contexts):
            context.pages[0].screenshot(path=f"{shots}/{request.node.name}-{n}.png")
    for context in contexts:
        context.close()
    assert wrong == []


TABS = ("Forecast", "Regimes", "Skill", "Calibration", "Health", "Deployments")


@pytest.mark.parametrize("tab", TABS)
def test_the_dashboard_draws_each_of_its_pages(open_page, tab):
    page = open_page("/dashboard/")
    page.get_by_role("link", name=tab).first.click()
    page.get_by_role("heading", level=1).first.wait_for()
    # While a page is drawn anew, its old parts are pale. Not `wait_for_function`: the page's policy
    # lets nobody evaluate text.
    drawing = "[data-testid=stStatusWidget], [data-testid=stSkeleton], [data-stale=true]"
    playwright.expect(page.locator(drawing)).to_have_count(0, timeout=PATIENCE)
    assert page.locator("[data-testid=stException]").all_inner_texts() == []
    assert grave_faults(page) == []


def test_a_mail_is_found_read_and_its_attachment_saved(open_page):
    page = open_page("/inbox/")
    assert grave_faults(page) == []
    page.get_by_role("link", name="Drift in vix").click()
    frame = page.frame_locator("iframe")
    frame.get_by_text("vix drifted").wait_for()
    assert grave_faults(page) == []
    with page.expect_download() as saved:
        page.get_by_role("link", name="report.html").click()
    assert Path(saved.value.path()).read_bytes() == b"<h1>r</h1>"
    page.get_by_role("link", name="All mails").click()
    page.wait_for_url("**/inbox/")


def test_reports_are_listed_and_lead_back(open_page):
    page = open_page("/reports/")
    page.get_by_role("link", name="drift").click()
    page.get_by_role("heading", name="Drift of vix").wait_for()
    page.get_by_role("link", name="all").click()
    page.wait_for_url("**/reports/")


def test_the_api_can_be_tried_from_its_docs(open_page):
    page = open_page("/docs")
    page.locator(".opblock-summary-path", has_text="/health").first.click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table", has_text='"alive"').wait_for()


def test_mlflow_shows_its_models(open_page, settings):
    login = ("admin", mlflow_password(Layout.of(settings), "admin"))
    page = open_page("/mlflow/#/models", login)
    page.get_by_role("heading", name="Registered Models").first.wait_for()


def test_airflow_takes_the_login_and_shows_its_dags(open_page, settings):
    page = open_page("/airflow/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(airflow_password(settings))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Dags").first.click()
    page.wait_for_url("**/airflow/dags**")
    page.get_by_role("heading", name="Dag").first.wait_for()


DOORS = {
    "/dashboard/": 401,
    "/dashboard/_stcore/health": 401,
    "/dashboard/_stcore/stream": 401,
    "/dashboard/static/x.js": 401,
    "/inbox/": 401,
    "/inbox/mail/x": 401,
    "/inbox/mail/x/html": 401,
    "/inbox/mail/x/attachment/0": 401,
    "/reports/": 401,
    "/reports/drift.html": 401,
    "/reports/../reports/drift.html": 401,
    "/mlflow/": 401,
    "/mlflow/api/2.0/mlflow/experiments/search": 401,
    "/mlflow/ajax-api/2.0/mlflow/registered-models/search": 401,
    "/mlflow/get-artifact": 401,
    "/airflow/api/v2/dags": 401,
    "/airflow/api/v2/connections": 401,
    "/airflow/ui/config": 401,
    "/airflow/execution/health": 404,
}


@pytest.mark.parametrize("path", DOORS)
def test_a_door_asks_for_a_login_on_each_of_its_paths(settings, path):
    url = f"http://127.0.0.1:{settings.api_port}{path}"
    for login in (None, ("admin", "guess")):
        assert httpx.get(url, auth=login, trust_env=False).status_code == DOORS[path]
