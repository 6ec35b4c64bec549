"""The built site: every page in a browser, light, dark and narrow, with nothing from elsewhere."""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.docs.shell import ROOT
from tests.e2e.axe import grave_faults

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
BUILDER = Path(sys.executable).with_name("zensical")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not BUILDER.exists(), reason="the extra docs is not installed"),
]
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly from a copy of what it is made from, served on loopback."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy2(ROOT / "zensical.toml", folder)
    built = subprocess.run(
        [BUILDER, "build", "--clean", "--strict"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    handler = functools.partial(Silent, directory=folder / "build/site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder / "build/site", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_whole_and_usable(site, chromium, look):
    folder, door = site
    wrong = []
    context = chromium.new_context(**LOOKS[look])
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.on("request", lambda asked: asked.url.startswith((door, "data:", "blob:"))
            or wrong.append(f"{page.url} asks {asked.url}"))  # fmt: skip
    page.on("response", lambda answer: answer.status >= 400 and wrong.append(answer.url))
    pages = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
    assert len(pages) > 20
    for name in pages:
        if name == "404.html":
            continue
        page.goto(f"{door}/{name}", wait_until="load")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            wrong.append(f"{name} is {wide} px wider than the window")
        wrong += [f"{name}: {fault}" for fault in grave_faults(page)]
    context.close()
    assert wrong == []


def test_the_search_finds_an_error_by_its_code(site, chromium):
    _, door = site
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{door}/index.html", wait_until="networkidle")  # its scripts listen
    page.keyboard.press("Control+k")
    # What is typed before the box is open are shortcuts, to other pages too.
    playwright.expect(page.locator("input[role=combobox]")).to_be_focused()
    page.keyboard.type("contract-broken")
    page.locator("a", has_text="contract-broken").first.click()
    page.wait_for_url("**/reference/errors.html#contract-broken")
    context.close()
