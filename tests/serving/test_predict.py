"""POST /predict on a running server: online, replay, what-if, and what it will not answer."""

import math
from datetime import date

import numpy as np
import pytest
from serving_world import LAST, SESSIONS, known_at, rows
from small_model import small_model

from riskcast.models.explain import sentence
from riskcast.serving.auth import ensure_admin_key
from riskcast.serving.schemas import PredictResponse

NEEDED = (*small_model().columns, *small_model().thresholds)


def _expected(session: date, **given: float) -> float:
    """Return the forecast of the model itself, called beside the server."""
    model = small_model()
    row = rows().row(SESSIONS.index(session), named=True) | given
    x = np.array([[row[name] for name in model.columns]])
    thresholds = np.array([[row[name] for name in model.thresholds]])
    return math.sqrt(model.forecast(x, thresholds).variance[0])


def _error(response) -> dict[str, str]:
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"code", "message", "fix"}
    assert all(error.values())
    return error


def test_an_empty_request_is_answered_from_the_latest_session(client):
    for body in (b"", b"{}", b'{"as_of_date": null}', b'{"feature_vector": {}}'):
        response = client.post("/predict", content=body)
        assert response.status_code == 200
        said = PredictResponse.model_validate_json(response.content)
        assert (said.as_of_date, said.mode, said.symbol) == (LAST, "online", "GSPC")
        assert said.rv_5d_hat == pytest.approx(_expected(LAST), rel=1e-12)


def test_an_answer_says_all_that_is_promised(client):
    response = client.post("/predict", json={})
    said = PredictResponse.model_validate_json(response.content)
    assert set(response.json()) == set(PredictResponse.model_fields)
    assert said.rv_5d_annualised == pytest.approx(said.rv_5d_hat * math.sqrt(252 / 5))
    assert {"50", "80", "95"} <= set(said.intervals)
    assert all(lo < said.rv_5d_hat < hi for lo, hi in said.intervals.values())
    (lo_50, hi_50), (lo_80, hi_80) = said.intervals["50"], said.intervals["80"]
    (lo_95, hi_95) = said.intervals["95"]
    assert lo_95 < lo_80 < lo_50 < hi_50 < hi_80 < hi_95
    probs = said.regime_probs
    assert probs.calm + probs.transition + probs.risk_off == pytest.approx(1.0)
    assert 3 <= len(said.drivers) <= 5
    assert said.top_drivers == [driver.name for driver in said.drivers]
    sizes = [abs(driver.contribution) for driver in said.drivers]
    assert sizes == sorted(sizes, reverse=True)
    row = rows().row(SESSIONS.index(LAST), named=True)
    model = small_model()
    x, bounds = (np.array([[row[n] for n in read]]) for read in (model.columns, model.thresholds))
    effects = model.forecast(x, bounds).contributions[0]
    assert said.explanation == sentence(model.columns, effects)
    assert said.explanation.startswith("Risk is ")
    assert said.explanation.endswith(".")
    assert all((d.contribution >= 0) == (d.direction == "raises") for d in said.drivers)
    assert said.features_known_at == known_at(LAST)
    assert (said.clock.mode, said.clock.now) == ("sample", known_at(LAST))
    assert (said.model.product, said.model.version) == ("daily_risk", "1")
    assert said.model.fit_end == small_model().fit_end
    assert len(said.model.digest) == 64
    assert said.slot == "green"


def test_an_answer_carries_who_answered_and_keeps_the_callers_request_id(client):
    response = client.post("/predict", json={}, headers={"X-Request-Id": "client-chosen-1"})
    assert response.headers["X-Riskcast-Slot"] == "green"
    assert response.headers["X-Riskcast-Model"] == "daily_risk/1"
    assert response.headers["X-Request-Id"] == response.json()["request_id"] == "client-chosen-1"
    unsafe = client.post("/predict", json={}, headers={"X-Request-Id": "a b<script>"})
    assert unsafe.headers["X-Request-Id"] == unsafe.json()["request_id"] != "a b<script>"


@pytest.mark.parametrize("session", SESSIONS[::7])
def test_an_earlier_session_is_replayed_from_its_own_features(client, session):
    said = client.post("/predict", json={"as_of_date": session.isoformat()}).json()
    assert said["mode"] == "replay"
    assert said["as_of_date"] == session.isoformat()
    assert said["features_known_at"] == known_at(session).isoformat().replace("+00:00", "Z")
    assert said["rv_5d_hat"] == pytest.approx(_expected(session), rel=1e-12)


def test_a_given_value_takes_the_place_of_the_stored_one(client):
    given = {"lvix": -7.0, "dvix1": 0.2}
    said = client.post("/predict", json={"feature_vector": given}).json()
    assert said["mode"] == "what_if"
    assert said["rv_5d_hat"] == pytest.approx(_expected(LAST, **given), rel=1e-12)
    assert said["rv_5d_hat"] != pytest.approx(_expected(LAST), rel=1e-3)
    body = {"as_of_date": SESSIONS[3].isoformat(), "feature_vector": given}
    said = client.post("/predict", json=body).json()
    assert (said["mode"], said["as_of_date"]) == ("what_if", SESSIONS[3].isoformat())
    assert said["rv_5d_hat"] == pytest.approx(_expected(SESSIONS[3], **given), rel=1e-12)


def test_a_known_feature_the_model_does_not_use_is_accepted_and_reported(client):
    said = client.post("/predict", json={"feature_vector": {"vix": 19.4, "lvix": -9.0}}).json()
    assert said["ignored_features"] == ["vix"]
    assert said["rv_5d_hat"] == pytest.approx(_expected(LAST, lvix=-9.0), rel=1e-12)


def test_an_unknown_feature_is_refused_naming_the_nearest(client):
    response = client.post("/predict", json={"feature_vector": {"spy_vol_10": 0.1}})
    assert response.status_code == 422
    error = _error(response)
    assert error["code"] == "feature-unknown"
    assert "spy_vol_10d" in error["message"]


@pytest.mark.parametrize("name", ["date", "symbol", "known_at", "simulated", "rv_5d"])
def test_a_column_that_is_no_number_is_no_feature(client, name):
    response = client.post("/predict", json={"feature_vector": {name: 1.0}})
    assert (response.status_code, _error(response)["code"]) == (422, "feature-unknown")


@pytest.mark.parametrize(("name", "value"), [("spy_vol_10d", -0.1), ("vix", 2000.0), ("dd", 0.1)])
def test_a_value_no_market_could_show_is_refused(client, name, value):
    response = client.post("/predict", json={"feature_vector": {name: value}})
    assert (response.status_code, _error(response)["code"]) == (422, "feature-out-of-range")
    assert name in _error(response)["message"]


@pytest.mark.parametrize(
    ("asked", "valid"),
    [
        ("2018-12-22", "2018-12-24"),  # Saturday
        ("2018-12-05", "2018-12-06"),  # closed for a day of mourning
        ("2018-12-25", "2018-12-26"),
        ("2019-01-02", "2018-12-31"),  # later than anything known
        ("9999-12-31", "2018-12-31"),
        ("1950-01-03", "2018-11-01"),  # before history
    ],
)
def test_a_day_that_cannot_be_asked_for_is_refused_with_one_that_can(client, asked, valid):
    response = client.post("/predict", json={"as_of_date": asked})
    assert (response.status_code, _error(response)["code"]) == (422, "no-such-session")
    assert valid in _error(response)["message"]
    assert client.post("/predict", json={"as_of_date": valid}).status_code == 200


def test_the_server_says_what_it_is_and_is_ready(client):
    assert client.get("/health").json() == {"status": "alive"}
    ready = client.get("/ready").json()
    assert ready["ready"] is True
    assert (ready["reasons"], ready["troubles"]) == ([], [])
    links = client.get("/").json()["links"]
    http = (path for path in links.values() if not path.startswith("/ws/"))
    assert all(client.get(path).status_code in (200, 405) for path in http)


def test_the_docs_show_request_examples_and_the_key(client):
    described = client.get("/openapi.json").json()
    predict = described["paths"]["/predict"]["post"]
    assert predict["requestBody"]["content"]["application/json"]["examples"]
    assert {next(iter(way)) for way in predict["security"]} == {"APIKeyHeader", "HTTPBearer"}
    for example in predict["requestBody"]["content"]["application/json"]["examples"].values():
        assert client.post("/predict", json=example["value"]).status_code == 200


def test_model_info_names_what_serves(client):
    key = ensure_admin_key(client.settings).read_text()
    info = client.get("/debug/model-info", headers={"X-API-Key": key}).json()
    assert (info["product"], info["version"]) == ("daily_risk", "1")
    assert set(info["features"]) == set(NEEDED)


def test_metrics_count_requests_and_name_the_model(client):
    client.post("/predict", json={"as_of_date": "2018-12-22"})
    client.get("/no/such/path/of/many")
    text = client.get("/metrics").text
    assert 'riskcast_requests_total{method="POST",route="/predict",status="422"}' in text
    assert 'route="other"' in text
    assert "/no/such" not in text
    assert "riskcast_model_info{" in text
    assert 'version="1"' in text
    assert "riskcast_ready 1.0" in text
    assert "riskcast_feature_age_seconds 0.0" in text
