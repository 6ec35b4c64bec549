"""A vendor that says nothing for two sessions: nothing is filled in, and it is told (14 and 15)."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime

import polars as pl
import pytest
import time_machine
from streamlit.testing.v1 import AppTest
from tests.alerts.smtp_server import smtp_server
from tests.e2e.late_vendor import LateVendor
from tests.e2e.simulated_scheduler import FAILED, Scheduler

from riskcast.core.settings import read_settings
from riskcast.dashboard import pages
from riskcast.lake import open_lake
from riskcast.pipelines import MARKET_DAILY as DAILY
from riskcast.sources.sample import SampleSource
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.output import HEALTH
from riskcast.tables.silver import MARKET_DAILY

SUNDAY, NIGHT = datetime(2000, 12, 17, tzinfo=UTC), datetime(2000, 12, 21, tzinfo=UTC)
SILENT = [date(2000, 12, 18), date(2000, 12, 19)]
BACK = datetime(2000, 12, 20, 14, tzinfo=UTC)
ALL = [*SILENT, date(2000, 12, 20)]
LAST_BEFORE = date(2000, 12, 15)
SINCE = pl.col("date") > LAST_BEFORE


@pytest.fixture
def home(history, tmp_path, monkeypatch):
    """Two years of history, live; mails are taken."""
    shutil.copytree(history, tmp_path / "home", symlinks=True)
    with smtp_server() as inbox:
        for name, value in {
            "HOME": str(tmp_path / "home"), "SOURCE": "live", "ASSET": "GSPC",
            "MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(inbox.port), "MAIL_TLS": "none",
            "MAIL_TO": "desk@example.org", "API_URL": "http://127.0.0.1:9",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"RISKCAST_{name}", value)
        yield inbox


def test_silence_stops_the_line_is_mailed_shown_as_stale_and_mended_by_the_next_delivery(home):
    settings = read_settings()
    lake = open_lake(settings)
    before = lake.version(FEATURES_DAILY)
    vendor = LateVendor(SampleSource(), late=dict.fromkeys(SILENT, BACK), refuses={})
    scheduler = Scheduler(settings, vendor)

    scheduler.live(SUNDAY, BACK)
    # The Federal Reserve spoke on the 19th. No event: what is not there is neither monitored nor
    # trained on.
    assert {run.pipeline.name for run in scheduler.runs} == {"market_daily", "macro_release"}
    stopped = [run.tasks["check"] for run in scheduler.runs if run.pipeline is DAILY]
    assert stopped == [FAILED] * 2
    assert lake.version(FEATURES_DAILY) == before
    assert lake.read(MARKET_DAILY).filter(symbol="GSPC")["date"].max() == LAST_BEFORE
    subjects = [mail["Subject"] for *_, mail in home.mails]
    assert subjects == 2 * ["[riskcast] market_daily.check failed"]
    assert any("Stale" in warning for warning in warnings_of_the_dashboard(BACK))

    scheduler.runs.clear()
    scheduler.live(BACK, NIGHT)
    assert [run.failed for run in scheduler.runs] == [False] * 3
    rows = lake.read(FEATURES_DAILY).filter(SINCE).sort("date")
    assert rows["date"].to_list() == ALL
    assert rows["known_at"].n_unique() == 1, "known with the delivery that brought them"
    looked = lake.read(HEALTH).filter(check="freshness")
    assert looked["at"].to_list() == rows["known_at"].unique().to_list()
    assert len(home.mails) == 2
    assert not any("Stale: features" in said for said in warnings_of_the_dashboard(NIGHT))


def warnings_of_the_dashboard(now: datetime) -> list[str]:
    for cached in (pages._lake, pages._read, pages._answer, pages._fresh):
        cached.clear()
    with time_machine.travel(now, tick=True):
        script = "from riskcast.dashboard import pages\npages.health()"
        page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception
    return [warning.value for warning in page.warning]
