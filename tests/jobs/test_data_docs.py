"""The data docs say what is there, what is broken and what was held back, without a network."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.data_pages import build_data_docs
from riskcast.lake import MemoryLake
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.tables import TABLES
from riskcast.tables.bronze import QUARANTINE
from riskcast.tables.silver import MARKET_DAILY as CURATED

HISTORY = Window.parse("2004-01-01", "2005-12-30")
STEPS = ("ingest_sessions", "ingest_market", "ingest_macro", "curate_market", "curate_macro")
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//')


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    settings = Settings(home=str(tmp_path_factory.mktemp("home")))
    lake = MemoryLake()
    for name in STEPS:
        run_step(MARKET_DAILY.step(name), HISTORY, Ports(settings, lake=lake))
    plant(lake)
    return build_data_docs(lake, settings).parent


def plant(lake: MemoryLake) -> None:
    """A hole in a required symbol, and a row in quarantine that tries to be markup."""
    hole = (pl.col("symbol") == "VIX") & (pl.col("date") == date(2005, 12, 14))
    lake.write(CURATED, lake.read(CURATED).filter(~hole).drop("ingested_at"), HISTORY)
    at = HISTORY.end
    held = {"table": "raw.market", "row": "<script>alert(1)</script>", "rule": "r", "reason": "n/a"}
    row = pl.DataFrame([{**held, "at": at, "known_at": at, "source": "test"}])
    instants = pl.col("at", "known_at").cast(pl.Datetime("us", "UTC"))
    lake.write(QUARANTINE, row.with_columns(instants), HISTORY)


def test_every_declared_table_has_a_page_and_a_line_in_the_index(site):
    index = (site / "index.html").read_text()
    for name in TABLES:
        assert f'href="tables/{name}.html"' in index
        assert TABLES[name].doc.split(";")[0][:30] in (site / "tables" / f"{name}.html").read_text()


def test_what_is_broken_is_counted_in_the_index_and_named_on_the_page(site):
    index = (site / "index.html").read_text()
    assert re.search(r'class="bad">\d+ of \d+ checks passed', index)
    page = (site / "tables" / "curated.market_daily.html").read_text()
    assert "1 of 1,008 rows" in page
    assert "symbol=VIX date=2005-12-14" in page


def test_a_table_says_who_writes_and_reads_it_its_age_and_its_versions(site):
    page = (site / "tables" / "curated.market_daily.html").read_text()
    assert "<code>market_daily.curate_market</code>" in page
    assert "<code>market_daily.features</code>" in page
    assert "0 h, 80 h allowed" in page
    assert page.count("<td>swap</td>") == 1, "the planted hole is the newest version"


def test_rows_held_back_are_listed_and_never_run(site):
    index = (site / "index.html").read_text()
    assert "&lt;script&gt;alert(1)" in index
    assert "<script>alert" not in index


def test_no_page_fetches_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 2 * len(TABLES) - 8
    assert [str(page) for page in pages if FETCHED.search(page.read_text())] == []


def test_the_expectations_are_reachable_from_the_index_and_styled(site):
    details = site / "expectations"
    assert 'href="expectations/index.html"' in (site / "index.html").read_text()
    assert 'href="../data.css"' in (details / "index.html").read_text()
    result = next((details / "validations" / "curated").rglob("*.html"))
    styled = re.search(r'href="([./]*data\.css)"', result.read_text())
    assert (result.parent / styled[1]).resolve() == (site / "data.css").resolve()


def test_building_again_replaces_the_site(site, tmp_path):
    settings, lake = Settings(home=str(tmp_path)), MemoryLake()
    run_step(MARKET_DAILY.step("ingest_sessions"), HISTORY, Ports(settings, lake=lake))
    first = {p.name for p in build_data_docs(lake, settings).parent.rglob("*.html")}
    again = {p.name for p in build_data_docs(lake, settings).parent.rglob("*.html")}
    assert len(first) == len(again)


def test_a_live_table_that_stopped_is_stale(tmp_path):
    from riskcast.core.clock import Clock
    from riskcast.jobs.data_docs import _is_stale

    known = HISTORY.end
    clock = Clock.sample(known + timedelta(hours=81))
    assert _is_stale(CURATED, known, clock)
    assert not _is_stale(CURATED, known + timedelta(hours=2), clock)
    assert isinstance(known, datetime)
