"""Drift checks and alerts: what the monitor wrote, nothing it has not, on disk before answered."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from serving_world import EVER, MemoryRows, client_of, rows, serve

from riskcast.core.errors import SpoolFailed
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_api_key
from riskcast.serving.errors import Refusal
from riskcast.serving.monitoring import MOST_WAITING, Alerts, Drift, DriftResponse
from riskcast.tables import columns as col
from riskcast.tables.spec import Column, Kind, Layer, Table, Write

AT = datetime(2018, 12, 31, 22, tzinfo=UTC)
HEALTH = Table(
    Layer.OUTPUT,
    "health_checks",
    "As the monitor's table.",
    columns=(
        col.PRODUCT,
        Column("check", Kind.TEXT, "What was looked at."),
        Column("subject", Kind.TEXT, "Of what."),
        Column("at", Kind.INSTANT, "When."),
        Column("value", Kind.FLOAT, "Found."),
        Column("threshold", Kind.FLOAT, "Allowed."),
        Column("verdict", Kind.TEXT, "ok, warn or alarm."),
    ),
    key=("product", "check", "subject", "at"),
    time="at",
    write=Write.UPSERT,
)


def checks(*verdicts, at=AT, known=None, check="feature_drift"):
    return pl.DataFrame(
        [
            {
                "product": "daily_risk",
                "check": check,
                "subject": f"f{i}",
                "at": at,
                "value": 0.3,
                "threshold": 0.2,
                "verdict": verdict,
                "known_at": known or at,
                "source": "derived",
            }
            for i, verdict in enumerate(verdicts)
        ]
    )


def drift_of(settings, *frames, window=EVER):
    lake = open_lake(settings)
    for frame in frames:
        lake.write(HEALTH, frame, window)
    return Drift(lake, HEALTH, "daily_risk")


def test_the_score_is_the_share_of_subjects_that_drifted(settings):
    drift = drift_of(settings, checks("alarm", "ok", "warn", "alarm"))
    said = DriftResponse.model_validate(drift.newest())
    assert (said.drift_detected, said.drift_score) == (True, 0.5)
    assert (said.drifted_features, said.checked_at) == (["f0", "f3"], AT)


def test_only_the_newest_checks_count_and_a_new_write_is_seen(settings):
    drift = drift_of(settings, checks("alarm", "alarm", "alarm"))
    assert drift.newest()["drift_score"] == 1.0
    later = checks("ok", "ok", at=AT + timedelta(days=1))
    open_lake(settings).write(HEALTH, later, EVER)
    assert (drift.newest()["drift_detected"], len(drift.newest()["checks"])) == (False, 2)


def test_checks_of_other_things_are_no_drift(settings):
    drift = drift_of(settings, checks("alarm", check="guardrail"), checks("ok"))
    assert drift.newest()["drift_detected"] is False


def test_a_check_known_only_later_is_not_shown_and_the_check_sees_a_leak(settings):
    later = datetime.now(UTC) + timedelta(days=1)
    far = Window(datetime(2000, 1, 1, tzinfo=UTC), later + timedelta(days=1))
    hidden = checks("alarm", at=AT + timedelta(days=1), known=later)
    drift = drift_of(settings, checks("ok"), hidden, window=far)
    assert drift.newest()["drift_detected"] is False
    planted = hidden.with_columns(pl.lit(AT).alias("known_at"))
    open_lake(settings).write(HEALTH, planted, far)
    assert drift.newest()["drift_detected"] is True


@pytest.fixture
def world(settings):
    """A server whose monitor found 2 of 4 subjects drifted."""
    ensure_api_key(settings)
    app = create_app(settings, Registry(settings), lake=MemoryRows(rows()))
    app.state.drift = drift_of(settings, checks("alarm", "ok", "ok", "alarm"))
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        yield client, settings.home_path / "alerts", app


def test_an_alert_is_raised_from_its_threshold_on_and_lies_on_disk(world):
    client, folder, _app = world
    said = client.post("/monitoring/drift/alert", json={"threshold": 0.51}).json()
    assert (said["alerted"], said["alert_id"], said["drift_score"]) == (False, None, 0.5)
    assert not folder.exists()
    headers = {"X-Request-Id": "asked-twice"}
    for _ in range(2):  # as nginx does when a server dies
        said = client.post(
            "/monitoring/drift/alert", json={"threshold": 0.5, "note": "look"}, headers=headers
        ).json()
        assert said["alerted"]
    (file,) = folder.iterdir()
    alert = json.loads(file.read_text())
    assert (file.stem, alert["note"], alert["client"]) == (said["alert_id"], "look", "default")
    assert alert["drifted_features"] == ["f0", "f3"]
    assert client.get("/monitoring/drift/check").json()["drift_detected"] is True


@pytest.mark.parametrize("body", [{"threshold": 2}, {"threshold": "1"}, {"note": "n" * 1001}])
def test_impossible_alerts_are_refused_by_name(world, body):
    response = world[0].post("/monitoring/drift/alert", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid-request")


def test_without_a_monitor_drift_is_unknown_and_raises_no_alert(world):
    client, folder, app = world
    app.state.drift = Drift(app.state.drift._lake, None, "daily_risk")
    assert client.get("/monitoring/drift/check").json()["drift_detected"] is None
    said = client.post("/monitoring/drift/alert", json={"threshold": 0}).json()
    assert (said["alerted"], folder.exists()) == (False, False)


def test_alerts_nobody_sends_are_refused_before_they_fill_the_disk(tmp_path):
    for i in range(MOST_WAITING):
        (tmp_path / f"drift-{i}.json").write_text("{}")
    with pytest.raises(Refusal, match="wait to be sent") as refused:
        Alerts(tmp_path).record("drift-new", {})
    assert refused.value.code == "alerts-full"


def test_an_alert_that_cannot_be_written_is_not_answered(tmp_path):
    (tmp_path / "alerts").write_text("a file where the folder should be")
    with pytest.raises(SpoolFailed, match="cannot be written"):
        Alerts(tmp_path / "alerts").record("drift-1", {})


def test_news_says_that_there_is_no_source_of_it(world):
    client, _, _ = world
    answer = client.get("/news/recent", params={"limit": 5, "hours_back": 48})
    assert answer.json() == {"articles": [], "available": False}
    assert client.get("/news/recent", params={"limit": 0}).status_code == 422
