"""Who may ask what: every route against every kind of key."""

import hashlib
import json
import stat

import httpx
import pytest
from serving_world import MemoryRows, rows, serve

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import KEYS_FILE, add_client, ensure_api_key

OPEN = ("/health", "/ready", "/", "/docs", "/openapi.json")
GUARDED = {"/predict": "predict", "/metrics": "observe", "/monitoring/drift/check": "monitor"}


@pytest.fixture
def served(settings):
    ensure_api_key(settings)
    app = create_app(settings, Registry(settings), lake=MemoryRows(rows()))
    with serve(app, wait_ready=False) as url, httpx.Client(base_url=url) as client:
        yield client


def _ask(client, path, **headers):
    method = "POST" if path == "/predict" else "GET"
    return client.request(method, path, headers=headers)


def _code(response):
    return response.json()["error"]["code"]


def _let_in(response) -> bool:
    """These tests register no model, so who is let in may still meet a server not ready."""
    return response.status_code == 200 or _code(response) == "not-ready"


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open_needs_no_key(served, path):
    expected = 503 if path == "/ready" else 200
    assert _ask(served, path).status_code == expected
    assert _ask(served, path, **{"X-API-Key": "wrong"}).status_code == expected


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "key-missing"),
        ({"X-API-Key": ""}, "key-missing"),
        ({"X-API-Key": "wrong"}, "key-unknown"),
        ({"X-API-Key": "é\xff"}, "key-unknown"),
        ({"X-API-Key": "x" * 4000}, "key-unknown"),
        ({"Authorization": "Bearer wrong"}, "key-unknown"),
        ({"Authorization": "Basic d3Jvbmc="}, "key-missing"),
        ({"Authorization": "Bearer"}, "key-missing"),
    ],
)
def test_without_a_known_key_nothing_guarded_answers(served, path, headers, code):
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    response = _ask(served, path, **sent)
    assert (response.status_code, _code(response)) == (401, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "wrong" not in response.text


@pytest.mark.parametrize("path", GUARDED)
def test_the_default_key_opens_everything_in_either_header(served, settings, path):
    key = (settings.keys_path / "api.key").read_text()
    assert _let_in(_ask(served, path, **{"X-API-Key": key}))
    assert _let_in(_ask(served, path, Authorization=f"Bearer {key}"))


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("scope", ["predict", "observe", "admin"])
def test_a_key_opens_only_what_its_scope_names(served, settings, path, scope):
    add_client(settings, "limited", "limited-key", (scope,))
    response = _ask(served, path, **{"X-API-Key": "limited-key"})
    if GUARDED[path] == scope:
        assert _let_in(response)
    else:
        assert (response.status_code, _code(response)) == (403, "scope-missing")


def test_the_hash_of_a_key_is_no_key(served, settings):
    stored = json.loads((settings.keys_path / KEYS_FILE).read_text())["keys"][0]["sha256"]
    assert _ask(served, "/predict", **{"X-API-Key": stored}).status_code == 401


def test_a_removed_key_is_refused_at_once(served, settings):
    add_client(settings, "leaver", "leaver-key", ("predict",))
    assert _let_in(_ask(served, "/predict", **{"X-API-Key": "leaver-key"}))
    path = settings.keys_path / KEYS_FILE
    left = [each for each in json.loads(path.read_text())["keys"] if each["name"] != "leaver"]
    path.write_text(json.dumps({"keys": left}))
    assert _ask(served, "/predict", **{"X-API-Key": "leaver-key"}).status_code == 401


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "keys-missing"),
        ("", "keys-unreadable"),
        ("[]", "keys-unreadable"),
        ('{"keys": [{"name": "x"}]}', "keys-unreadable"),
        ('{"keys": [{"name": "x", "sha256": "", "scopes": ["predict"]}]}', "keys-unreadable"),
    ],
)
def test_without_a_sound_keys_file_nobody_is_let_in(served, settings, content, code):
    key, path = (settings.keys_path / "api.key").read_text(), settings.keys_path / KEYS_FILE
    path.unlink()
    if content is not None:
        path.write_text(content)
    for headers in ({}, {"X-API-Key": key}, {"X-API-Key": ""}):
        response = _ask(served, "/predict", **headers)
        assert (response.status_code, _code(response)) == (503, code)
    assert code in _ask(served, "/ready").text


def test_keys_are_private_hashed_and_made_once(tmp_path):
    settings = Settings(home=str(tmp_path / "home"))
    path = ensure_api_key(settings)
    key = path.read_text()
    assert ensure_api_key(settings).read_text() == key
    assert len(key) >= 43
    assert stat.S_IMODE(settings.keys_path.stat().st_mode) == 0o700
    for file in settings.keys_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    stored = (settings.keys_path / KEYS_FILE).read_text()
    assert key not in stored
    assert hashlib.sha256(key.encode()).hexdigest() in stored
    assert ensure_api_key(Settings(home=str(tmp_path / "other"))).read_text() != key


def test_other_clients_survive_and_a_broken_file_is_never_overwritten(tmp_path):
    settings = Settings(home=str(tmp_path))
    ensure_api_key(settings)
    add_client(settings, "desk", "desk-key", ("predict",))
    ensure_api_key(settings)
    path = settings.keys_path / KEYS_FILE
    assert {each["name"] for each in json.loads(path.read_text())["keys"]} == {"default", "desk"}
    path.write_text("{")
    with pytest.raises(SettingsError, match=KEYS_FILE):
        ensure_api_key(settings)
    assert path.read_text() == "{"
