"""The doctor finds what is planted, names the command that mends it, and says so by its exit."""

import json
import socket

import pytest
from typer.testing import CliRunner

from riskcast.cli import app
from riskcast.cli.doctor import keys, ports
from riskcast.core.settings import Settings


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def settings(tmp_path):
    names = [n for n in Settings.__slots__ if n.endswith("_port") and n != "mail_port"]
    return Settings(home=str(tmp_path), **{name: str(free_port()) for name in names})


def test_an_empty_home_is_told_to_start_and_the_exit_says_so(settings, monkeypatch):
    for name in Settings.__slots__:
        if name.endswith("_port") or name == "home":
            monkeypatch.setenv(f"RISKCAST_{name.upper()}", getattr(settings, name))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    said = json.loads(result.stdout)
    assert (result.exit_code, said["well"]) == (3, False)
    found = {each["name"]: each for each in said["findings"]}
    assert found["table features_daily"]["cure"] == "riskcast quickstart"
    assert found["registry"]["cure"] == "riskcast quickstart"
    assert {"python", "disk", "clock", "keys"} <= found.keys()
    assert all(each["cure"] for each in said["findings"] if each["state"] != "ok")
    assert not (settings.home_path / "mlflow.db").exists()  # looking makes nothing


def test_a_port_somebody_else_has_is_named_with_its_setting(settings):
    assert {each.state for each in ports(settings, up=False)} == {"ok"}
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(settings.api_port)))
        other.listen()
        (bad,) = (each for each in ports(settings, up=False) if each.state == "bad")
    assert "RISKCAST_API_PORT" in bad.cure


def test_a_port_nobody_answers_on_is_bad_while_the_stack_runs(settings):
    assert {each.cure for each in ports(settings, up=True)} == {"riskcast up"}


def test_a_secret_that_others_can_read_is_found_and_the_cure_mends_it(settings):
    settings.keys_path.mkdir(parents=True)
    key = settings.keys_path / "api.key"
    key.write_text("secret")
    key.chmod(0o644)
    (found,) = keys(settings)
    assert (found.state, found.cure) == ("bad", f"chmod 600 {key}")
    key.chmod(0o600)
    assert next(keys(settings)).state == "ok"
