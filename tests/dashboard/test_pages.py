"""Every page opens on a lake as the main job leaves it, on an empty one, and without the API."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

import riskcast.dashboard
from riskcast.core.settings import read_settings
from riskcast.core.window import Window
from riskcast.dashboard import pages
from riskcast.lake import open_lake
from riskcast.tables.gold import LABELS_DAILY
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, LOSSES, PREDICTIONS_DAILY

MAIN = Path(riskcast.dashboard.__file__).with_name("__main__.py")
DAYS = [date(2018, 12, day) for day in (26, 27, 28, 31)]
ALL = Window(datetime(1960, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC))
NAMES = ("forecast", "regimes", "skill", "calibration", "health", "deployments")


def known(day):
    return datetime(day.year, day.month, day.day, 21, 15, tzinfo=UTC)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKCAST_HOME", str(tmp_path))
    monkeypatch.setenv("RISKCAST_API_URL", "http://127.0.0.1:9")  # discard: nobody answers
    pages._lake.clear()
    for cached in (pages._read, pages._answer, pages._fresh):
        cached.clear()
    return tmp_path


@pytest.fixture
def filled(home):
    lake = open_lake(read_settings())
    base = {"symbol": "GSPC", "source": "derived"}
    lake.write(
        LABELS_DAILY,
        pl.DataFrame(
            [
                {**base, "date": d, "rv_5d": 0.02, "regime_5d": "calm", "known_at": known(d)}
                for d in DAYS
            ]
        ),
        ALL,
    )
    losses = [
        {
            **base,
            "product": "daily_risk",
            "evaluation": "walk_forward",
            "recipe": "r",
            "model": model,
            "date": d,
            "variance_hat": 0.0004,
            "variance": 0.0004,
            "qlike": loss,
            "sq_error": 0.0,
            "known_at": known(d),
        }
        for d in DAYS
        for model, loss in (("pool_equal", 0.2), ("hv20", 0.5), ("log_har", 0.3))
    ]
    lake.write(LOSSES, pl.DataFrame(losses), ALL)
    at = known(DAYS[-1])
    lake.write(
        DECISIONS,
        pl.DataFrame(
            [
                {
                    "product": "daily_risk",
                    "as_of": at,
                    "candidate": "pool_equal",
                    "recipe": "r",
                    "verdict": "promote",
                    "reason": "beats every naive forecast",
                    "figures": json.dumps({"qlike": 0.2}),
                    "model_version": "1",
                    "known_at": at,
                    "source": "derived",
                }
            ],
            schema_overrides={k: pl.Datetime("us", "UTC") for k in ("as_of", "known_at")},
        ),
        ALL,
    )
    lake.write(
        DEPLOYMENTS,
        pl.DataFrame(
            [
                {
                    "event_id": "e1",
                    "at": at,
                    "product": "daily_risk",
                    "action": "promote",
                    "model_version": "1",
                    "previous": None,
                    "who": "train",
                    "why": "the first champion",
                    "known_at": at,
                    "source": "registry",
                }
            ],
            schema_overrides={"previous": pl.String},
        ),
        ALL,
    )
    numbers = {
        c.name: 0.03 for c in PREDICTIONS_DAILY.columns if c.name.startswith(("rv", "lo", "hi"))
    }
    lake.write(
        PREDICTIONS_DAILY,
        pl.DataFrame(
            [
                {
                    **base,
                    **numbers,
                    "date": DAYS[-1],
                    "p_calm": 0.2,
                    "p_transition": 0.3,
                    "p_risk_off": 0.5,
                    "top_drivers": ["lvix", "tv5"],
                    "driver_effects": [0.4, -0.2],
                    "model_version": "1",
                    "slot": "champion",
                    "lineage": "{}",
                    "known_at": at,
                }
            ]
        ),
        ALL,
    )
    return lake


def opened(name):
    script = f"from riskcast.dashboard import pages\npages.{name}()"
    page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception, [e.value for e in page.exception]
    return page


@pytest.mark.parametrize("name", NAMES)
def test_a_page_opens_on_an_empty_lake(home, name):
    assert opened(name).title


@pytest.mark.parametrize("name", NAMES)
def test_a_page_opens_on_a_filled_lake_and_says_that_its_clock_is_simulated(filled, name):
    page = opened(name)
    assert any("Simulated clock" in info.value for info in page.info)


def test_an_api_that_is_away_is_told_on_top_and_the_published_forecast_stays(filled):
    page = opened("forecast")
    assert "The API gives no forecast" in page.error[0].value
    assert page.metric[0].value == "3.00%"


def test_a_refusal_of_the_api_is_told_with_its_code(filled, home, monkeypatch):
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"error": {"code": "not-ready", "message": "no model"}}).encode()
            self.send_response(503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            return

    (home / "keys").mkdir()
    (home / "keys" / "api.key").write_text("k\n")
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RISKCAST_API_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        assert "not-ready: no model" in opened("forecast").error[0].value
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_skill_page_names_the_verdict_and_its_figures(filled):
    page = opened("skill")
    assert "promote" in page.success[0].value
    assert any("qlike" in list(table.value.get("figure", [])) for table in page.dataframe)


def test_coverage_counts_published_forecasts_with_an_outcome_and_names_the_gate_s(filled):
    from riskcast.dashboard import data
    from riskcast.products import PRODUCTS

    rows = data.came_true(filled, "GSPC")
    assert rows["date"].to_list() == [DAYS[-1]]
    decided = data.decisions(filled, next(iter(PRODUCTS.values())))
    table = data.coverage(rows, decided)
    # Of one forecast, whose interval is a point beside the outcome, nothing is inside.
    assert table["since"].to_list() == [0.0] * 3
    assert table["gate"].to_list() == [None] * 3, "the verdict says no coverage"
    said = decided.with_columns(figures=pl.lit('{"coverage_80": 0.79}'))
    assert data.coverage(rows, said)["gate"].to_list() == [None, 79.0, None]


def test_reliability_puts_what_was_said_beside_what_came(filled):
    from riskcast.dashboard import data

    table = data.reliability(data.came_true(filled, "GSPC"))
    assert table.rows() == [
        ("calm", 0.2, 1.0, 1), ("transition", 0.3, 0.0, 1), ("risk_off", 0.5, 0.0, 1)
    ]  # fmt: skip


def test_each_pipeline_says_when_it_last_wrote(filled):
    from riskcast.dashboard import data
    from riskcast.pipelines import PIPELINES

    table = data.pipelines(filled)
    assert table["pipeline"].to_list() == list(PIPELINES)
    row = table.row(by_predicate=pl.col("pipeline") == "market_daily", named=True)
    assert row["last wrote"] in (PREDICTIONS_DAILY.name, LABELS_DAILY.name)
    assert row["known up to, UTC"] == f"{known(DAYS[-1]):%Y-%m-%d %H:%M}"
    monitor = table.row(by_predicate=pl.col("pipeline") == "monitor", named=True)
    assert monitor["runs on"] == "event of features_daily"


def test_a_table_older_than_it_may_be_is_called_stale(filled, monkeypatch):
    from riskcast.core.clock import Clock
    from riskcast.dashboard import data

    later = Clock.sample(known(DAYS[-1]) + timedelta(days=30))
    verdicts = data.freshness(filled, later)
    assert dict(verdicts.select("table", "verdict").rows())["predictions_daily"] == "stale"


def test_the_whole_app_starts_with_its_navigation(filled):
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert not page.exception
    assert "Risk of GSPC" in page.title[0].value
