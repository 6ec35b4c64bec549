"""Every route of the app against every kind of key. A route without an entry here fails."""

import json
from datetime import timedelta

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from serving_world import MemoryRows, new_home, rows, serve
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from riskcast.core.clock import wall
from riskcast.core.errors import SettingsError
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import (
    KEY_FILE,
    KEYS_FILE,
    SCOPES,
    add_client,
    ensure_admin_key,
    ensure_api_key,
    issue_key,
    revoke_key,
    stored_keys,
)

OPEN = ""
NEEDS = {
    ("GET", "/"): OPEN,
    ("GET", "/health"): OPEN,
    ("GET", "/ready"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs/{name}"): OPEN,
    ("POST", "/predict"): "predict",
    ("POST", "/predict/batch"): "predict",
    ("GET", "/predictions/history"): "predict",
    ("GET", "/news/recent"): "predict",
    ("WS", "/ws/predictions"): "predict",
    ("WS", "/ws/market"): "predict",
    ("WS", "/ws/news"): "predict",
    ("GET", "/metrics"): "observe",
    ("GET", "/monitoring/drift/check"): "monitor",
    ("POST", "/monitoring/drift/alert"): "monitor",
    ("GET", "/debug/model-info"): "admin",
    ("POST", "/admin/mirror"): "predict",  # a copy carries its client's key
    ("GET", "/admin/mirror"): "admin",
}
# Whose key, with which scopes: None for a key that opens nothing whatever its scopes.
HOLDERS = {
    "none": None,
    "unknown": None,
    "revoked": None,
    "expired": None,
    "default": {"predict", "observe", "monitor"},
    "everything": set(SCOPES),
    **{scope: {scope} for scope in SCOPES},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory, empty_database):
    settings = new_home(tmp_path_factory.mktemp("matrix"), empty_database)
    everything = tuple(SCOPES)
    keys = {
        "none": "",
        "unknown": "x" * 43,
        "default": ensure_api_key(settings).read_text(),
        "everything": ensure_admin_key(settings).read_text(),
        "revoked": issue_key(settings, "leaver", everything),
        "expired": issue_key(settings, "late", everything, timedelta(microseconds=1)),
        **{s: issue_key(settings, f"only-{s}", (s,)) for s in SCOPES},
    }
    revoke_key(settings, "leaver")
    app = create_app(settings, Registry(settings), lake=MemoryRows(rows()))
    with serve(app, wait_ready=False) as url, httpx.Client(base_url=url) as client:
        yield app, client, keys


def test_every_route_has_an_entry(served):
    found = set()
    for route in served[0].routes:
        methods = getattr(route, "methods", None) or {"WS"}
        assert isinstance(route, APIRoute | APIWebSocketRoute) or route.path == "/openapi.json"
        found |= {(method, route.path) for method in methods - {"HEAD"}}
    assert found == set(NEEDS)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(("method", "path"), NEEDS)
def test_a_route_opens_to_the_scope_it_names_and_to_no_other_key(served, method, path, holder):
    _app, client, keys = served
    status, code = _ask(client, method, path, keys[holder])
    needed, held = NEEDS[method, path], HOLDERS[holder]
    if needed == OPEN:
        assert status not in (401, 403)
    elif held is None:
        expected = {"none": "key-missing", "expired": "key-expired"}.get(holder, "key-unknown")
        assert (status, code) == (401, expected)
    elif needed in held:
        assert status not in (401, 403)
    else:
        assert (status, code) == (403, "scope-missing")


def _ask(client, method, path, key):
    if method != "WS":
        answer = client.request(method, path.format(name="none"), headers={"X-API-Key": key})
        said = answer.json() if answer.headers["content-type"] == "application/json" else {}
        return answer.status_code, said.get("error", {}).get("code")
    if not key:  # a client without a header is asked for its key after the handshake
        with connect(_ws(client, path), proxy=None) as socket:
            socket.send("{}")
            with pytest.raises(Exception, match="key-missing"):
                socket.recv(timeout=10)
        return 401, "key-missing"
    try:
        with connect(_ws(client, path), additional_headers={"X-API-Key": key}, proxy=None):
            return 101, None
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body)["error"]["code"]


def _ws(client, path):
    return str(client.base_url).replace("http", "ws").rstrip("/") + path


def test_keys_are_listed_without_what_opens(tmp_path, settings):
    key = issue_key(settings, "desk", ("predict",), timedelta(days=2))
    (entry,) = stored_keys(settings)
    assert key not in (settings.keys_path / KEYS_FILE).read_text()
    assert (entry["name"], entry["scopes"]) == ("desk", ["predict"])
    assert entry["expires_at"] > wall().isoformat()


@pytest.mark.parametrize(
    ("name", "scopes", "named"),
    [("desk", ("root",), "root"), ("", ("predict",), "empty"), ("default", ("predict",), "taken")],
)
def test_a_key_that_cannot_be_issued_is_refused_by_name(settings, name, scopes, named):
    ensure_api_key(settings)
    with pytest.raises(SettingsError, match=named):
        issue_key(settings, name, scopes)
    with pytest.raises(SettingsError, match="no client 'nobody'"):
        revoke_key(settings, "nobody")


def test_the_generated_keys_differ_and_survive_a_second_start(settings):
    first = [ensure_api_key(settings).read_text(), ensure_admin_key(settings).read_text()]
    again = [ensure_api_key(settings).read_text(), ensure_admin_key(settings).read_text()]
    assert first == again
    assert first[0] != first[1]
    assert (settings.keys_path / KEY_FILE).read_text() == first[0]
    add_client(settings, "other", "other-key", ("predict",))
    assert {each["name"] for each in stored_keys(settings)} == {"default", "admin", "other"}
