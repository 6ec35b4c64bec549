"""Garbage gets a named 4xx: never a crash, never a number nobody asked for."""

import json
import math

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_world import MemoryRows, rows, serve

from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_api_key
from riskcast.serving.schemas import MAX_BODY, PredictResponse

many = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

HUGE = "9" * 5000
BODIES = {
    "no JSON": b"rv_5d",
    "half a body": b'{"as_of_date": ',
    "a list": b"[]",
    "a number": b"7",
    "a text": b'"2018-12-28"',
    "no UTF-8": b'{"as_of_date": "\xff\xfe"}',
    "a null byte": b'{"as_of_date": "2018-12-28\\u0000"}',
    "another encoding": json.dumps({}).encode("utf-16"),
    "deep lists": b"[" * 20_000,
    "deep objects": b'{"feature_vector":' * 3000,
    "a huge integer": b'{"feature_vector": {"vix": ' + HUGE.encode() + b"}}",
    "a huge exponent": b'{"feature_vector": {"tv1": 1e99999}}',
    "NaN": b'{"feature_vector": {"tv1": NaN}}',
    "infinity": b'{"feature_vector": {"tv1": Infinity}}',
    "minus infinity": b'{"feature_vector": {"tv1": -Infinity}}',
    "NaN as text": b'{"feature_vector": {"tv1": "NaN"}}',
    "a number as text": b'{"feature_vector": {"tv1": "1.0"}}',
    "true": b'{"feature_vector": {"tv1": true}}',
    "null": b'{"feature_vector": {"tv1": null}}',
    "a nested value": b'{"feature_vector": {"tv1": {"value": 1}}}',
    "a list value": b'{"feature_vector": {"tv1": [1]}}',
    "a vector without names": b'{"feature_vector": [1, 2, 3]}',
    "an empty name": b'{"feature_vector": {"": 1}}',
    "a long name": b'{"feature_vector": {"' + b"v" * 10_000 + b'": 1}}',
    "an SQL name": b'{"feature_vector": {"vix\'; DROP TABLE features_daily;--": 1}}',
    "a template name": b'{"feature_vector": {"{{7*7}}${jndi:ldap://x}": 1}}',
    "a path name": b'{"feature_vector": {"../../etc/passwd": 1}}',
    "a dunder name": b'{"feature_vector": {"__class__": 1}}',
    "too many names": json.dumps({"feature_vector": {f"f{i}": 1 for i in range(600)}}).encode(),
    "an extra field": b'{"as_of_date": "2018-12-28", "model": "champion"}',
    "a number as date": b'{"as_of_date": 1545955200}',
    "a timestamp as date": b'{"as_of_date": "1545955200"}',
    "an instant as date": b'{"as_of_date": "2018-12-28T00:00:00Z"}',
    "a short date": b'{"as_of_date": "20181228"}',
    "a week date": b'{"as_of_date": "2018-W52-5"}',
    "no such day": b'{"as_of_date": "2018-02-30"}',
    "year zero": b'{"as_of_date": "0000-01-01"}',
    "a far year": b'{"as_of_date": "99999-01-01"}',
    "an SQL date": b"{\"as_of_date\": \"2018-12-28' OR '1'='1\"}",
    "a list date": b'{"as_of_date": ["2018-12-28"]}',
    "an empty date": b'{"as_of_date": ""}',
    "a value beyond any market": b'{"feature_vector": {"spy_vol_10d": -1e308}}',
    "thresholds in the wrong order": b'{"feature_vector": {"rv5_q33": 0.5, "rv5_q67": 1e-9}}',
}


def _refused(response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "fix"}
    assert "Traceback" not in response.text
    assert len(response.content) < 2000


@pytest.mark.parametrize("kind", BODIES)
def test_a_garbage_body_is_refused_by_name(client, kind):
    response = client.post("/predict", content=BODIES[kind])
    _refused(response)
    assert response.status_code == 422


def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(client):
    def chunks():
        for _ in range(3):
            yield b" " * MAX_BODY

    for content in (b" " * (MAX_BODY + 1), chunks()):
        response = client.post("/predict", content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "body-too-large")
    padded = b" " * (MAX_BODY - 2) + b"{}"
    assert client.post("/predict", content=padded).status_code == 200


@many
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_server(client, body):
    response = client.post("/predict", content=body)
    assert response.status_code < 500
    if response.status_code != 200:
        _refused(response)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_names = st.sampled_from(["tv1", "vix", "lvix", "rv5_q33", "regime_cluster_id", "nope"])


@many
@given(
    st.dictionaries(st.sampled_from(["as_of_date", "feature_vector", "x"]), _json)
    | st.fixed_dictionaries({"feature_vector": st.dictionaries(_names, _json)})
    | st.fixed_dictionaries({"as_of_date": st.dates().map(str)})
)
def test_no_json_crashes_the_server(client, body):
    response = client.post("/predict", content=json.dumps(body))
    assert response.status_code < 500
    if response.status_code != 200:
        _refused(response)


@many
@given(st.dictionaries(_names.filter(lambda n: n != "nope"), st.floats(allow_nan=False)))
def test_any_number_gives_a_sound_forecast_or_is_refused(client, vector):
    response = client.post("/predict", content=json.dumps({"feature_vector": vector}))
    assert response.status_code in (200, 422)
    if response.status_code == 200:
        said = PredictResponse.model_validate_json(response.content)
        assert math.isfinite(said.rv_5d_hat)
        assert said.rv_5d_hat > 0
        probs = said.regime_probs.model_dump().values()
        assert sum(probs) == pytest.approx(1.0)
        assert min(probs) >= 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/predict", 405),
        ("POST", "/health", 405),
        ("GET", "/no-such-path", 404),
        ("GET", "/debug/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("POST", "/predict/", 404),
    ],
)
def test_wrong_paths_and_methods_get_the_same_shape_of_error(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    _refused(response)
    assert response.headers["X-Request-Id"]


def test_a_crash_is_told_without_a_trace_of_the_code(settings):
    ensure_api_key(settings)
    app = create_app(settings, Registry(settings), lake=MemoryRows(rows()))

    async def boom() -> None:
        raise RuntimeError("secret detail")

    app.add_api_route("/boom", boom)
    with serve(app, wait_ready=False) as url:
        response = httpx.get(f"{url}/boom")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert response.headers["X-Request-Id"] in response.json()["error"]["message"]
    assert response.headers["X-Riskcast-Slot"] == "green"
    assert "secret" not in response.text
