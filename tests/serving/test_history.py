"""GET /predictions/history: what was published, and nothing that is not known yet."""

import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from serving_world import (
    EVER,
    LAST,
    SESSIONS,
    client_of,
    known_at,
    published,
    register,
    rows,
    serve,
    until,
)
from small_model import small_model

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_api_key
from riskcast.serving.history import History
from riskcast.serving.schemas import HistoryResponse
from riskcast.tables import gold
from riskcast.tables.output import PREDICTIONS_DAILY

PATH = "/predictions/history"


@pytest.fixture(scope="module")
def client(tmp_path_factory, empty_database):
    home = tmp_path_factory.mktemp("history")
    shutil.copy(empty_database, home / "mlflow.db")
    settings = Settings(home=str(home), slot="green")
    registry = Registry(settings)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    lake = open_lake(settings)
    lake.write(gold.FEATURES_DAILY, rows(), EVER)
    shadow = published(SESSIONS[-3:], slot="challenger", model_version="2")
    lake.write(PREDICTIONS_DAILY, pl.concat([published(), shadow]), EVER)
    app = create_app(settings)
    with serve(app) as url, client_of(url, settings) as http:
        until(lambda: http.get(PATH).json()["predictions"])
        yield http


def test_published_forecasts_are_shown_oldest_first(client):
    said = HistoryResponse.model_validate_json(client.get(PATH).content)
    assert [each.date for each in said.predictions] == list(SESSIONS[-30:])
    assert {each.model_version for each in said.predictions} == {"1"}
    newest = said.predictions[-1]
    assert (newest.intervals["80"], newest.known_at) == ((0.01, 0.03), known_at(LAST))


def test_limit_and_dates_select(client):
    def asked(**query):
        return [each["date"] for each in client.get(PATH, params=query).json()["predictions"]]

    assert asked(limit=1) == [LAST.isoformat()]
    assert asked(start=SESSIONS[3], end=SESSIONS[5]) == [d.isoformat() for d in SESSIONS[3:6]]
    assert asked(end=SESSIONS[5], limit=2) == [d.isoformat() for d in SESSIONS[4:6]]
    assert asked(start="2030-01-01") == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
        {"start": "1545955200"},
        {"end": "2018-02-30"},
        {"start": "2018-12-31", "end": "2018-12-01"},
    ],
)
def test_impossible_questions_are_refused_by_name(client, query):
    response = client.get(PATH, params=query)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid-request"
    assert next(iter(query)) in response.json()["error"]["message"]


def test_without_a_key_nothing_is_shown(client):
    assert client.get(PATH, headers={"X-API-Key": ""}).status_code == 401


def shown(settings, frame):
    far = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
    open_lake(settings).write(PREDICTIONS_DAILY, frame, far)
    history = History(open_lake(settings), "GSPC")
    history.look()
    return [row["date"] for row in history.between(None, None, 1000)]


def test_a_forecast_known_only_later_is_not_shown_and_the_check_sees_a_leak(settings):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    later = published((LAST,)).with_columns(pl.lit(tomorrow).alias("known_at"))
    both = pl.concat([published(SESSIONS[:1]), later], how="vertical_relaxed")
    assert shown(settings, both) == [SESSIONS[0]]
    leaked = later.with_columns(pl.lit(known_at(date(2018, 12, 31))).alias("known_at"))
    planted = pl.concat([published(SESSIONS[:1]), leaked], how="vertical_relaxed")
    assert LAST in shown(settings, planted)
