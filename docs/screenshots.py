"""Make the screenshots of the README from running stacks.

    python docs/screenshots.py HOME [--only NAME...]

HOME is the home of a running stack; its ports are read from the settings, so set the same
RISKCAST_* variables that started it. The forecast, Airflow, MLflow and the skill report are best
taken from a stack that `make run` started and `riskcast report` has seen; the ledger and the mail
from one that was started over the home of `riskcast demo drift`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from riskcast.core.settings import Settings, read_settings

FOLDER = Path(__file__).parent / "assets"
MOST = 150_000  # bytes a picture
WIDTH, HEIGHT = 1280, 960
PATIENCE = 240_000  # milliseconds; Streamlit draws in several steps, a busy machine slowly


@dataclass(frozen=True, slots=True)
class Shot:
    """A page behind nginx, and what to do on it before it is taken."""

    path: str
    prepare: Callable[[Page, Settings], None]
    login: str = "console"  # file of the password in <home>/keys
    scheme: str = "light"
    height: int = HEIGHT


def tab(name: str) -> Callable[[Page, Settings], None]:
    """Open a page of the dashboard and wait until it is drawn."""

    def prepare(page: Page, _settings: Settings) -> None:
        page.get_by_role("link", name=name).first.click()
        page.get_by_role("heading", level=1).first.wait_for()
        page.wait_for_function(
            "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton],"
            " [data-stale=true]')"
        )
        # A chart's part is fetched when it is first drawn.
        page.locator(".js-plotly-plot .main-svg").nth(1).wait_for()
        page.wait_for_timeout(3000)

    return prepare


def drift_mail(page: Page, _settings: Settings) -> None:
    """Open the mail on drift."""
    page.get_by_role("link", name="Await the retraining").first.click()
    page.frame_locator("iframe").locator("body").wait_for()
    page.wait_for_timeout(1000)


def airflow_grid(page: Page, settings: Settings) -> None:
    """Sign in and open the grid of market_daily."""
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(key(settings, "airflow-admin"))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Dags").first.wait_for()
    page.goto("/airflow/dags/market_daily")
    page.get_by_text("materialise").first.wait_for()
    page.wait_for_timeout(3000)


def version(page: Page, _settings: Settings) -> None:
    """Wait for the version's page, without the assistant beside it."""
    page.get_by_text("Registered At").first.wait_for()
    page.get_by_role("button", name="Close").first.click()  # MLflow's assistant
    page.wait_for_timeout(2000)


def newest_report(page: Page, settings: Settings) -> None:
    """Open the newest skill report."""
    newest = max(settings.reports_path.glob("skill_*.html"))
    page.goto(f"/reports/{newest.name}")
    page.get_by_role("heading", name="Skill").first.wait_for()
    page.wait_for_timeout(2000)


SHOTS = {
    "dashboard-forecast": Shot("/dashboard/", tab("Forecast"), height=1300),
    "dashboard-health": Shot("/dashboard/", tab("Health")),
    "dashboard-deployments": Shot("/dashboard/", tab("Deployments"), scheme="dark"),
    "inbox-drift": Shot("/inbox/", drift_mail),
    "airflow-grid": Shot("/airflow/", airflow_grid),
    "mlflow-model": Shot("/mlflow/#/models/daily_risk/versions/1", version, "mlflow-admin"),
    "skill-report": Shot("/reports/", newest_report),
}


def key(settings: Settings, name: str) -> str:
    """Return a password of the stack."""
    return (settings.keys_path / name).read_text().strip()


def take(browser: Browser, shot: Shot, settings: Settings) -> bytes:
    """Return the page as PNG."""
    context = browser.new_context(
        base_url=settings.door,
        http_credentials={"username": "admin", "password": key(settings, shot.login)},
        viewport={"width": WIDTH, "height": shot.height},
        color_scheme=shot.scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(shot.path)
    shot.prepare(page, settings)
    png = page.screenshot()
    context.close()
    return png


def small(png: bytes) -> bytes:
    """Return the picture as WebP of at most MOST bytes, as good as that allows."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in range(90, 30, -10):
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() <= MOST:
            return out.getvalue()
    raise ValueError(f"a picture stays above {MOST} bytes")


def main() -> None:
    """Take the screenshots asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home")
    parser.add_argument("--only", nargs="*", choices=SHOTS, default=list(SHOTS))
    given = parser.parse_args()
    settings = replace(read_settings(), home=given.home)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no Chromium on this machine")
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name in given.only:
            path = FOLDER / f"{name}.webp"
            path.write_bytes(small(take(browser, SHOTS[name], settings)))
            sys.stdout.write(f"{path} {path.stat().st_size // 1000} kB\n")
        browser.close()


if __name__ == "__main__":
    main()
