"""Every server of the stack for real, once: healthy, silent about secrets, back after a kill."""

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import time
from datetime import datetime
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.standalone.ports import port_settings
from websockets.sync.client import connect

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.jobs.airflow_api import Airflow
from riskcast.standalone import (
    airflow_password,
    airflow_url,
    connected,
    down,
    launch,
    postgres,
    status,
    up,
)
from riskcast.standalone.health import fault
from riskcast.standalone.layout import Layout, mlflow_password
from riskcast.standalone.leftovers import remains
from riskcast.standalone.processes import declare
from riskcast.standalone.supervisor import RECORD, Supervisor

pytestmark = pytest.mark.stack
SERVERS = (
    "postgres",
    "redis",
    "mlflow",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "blue",
    "green",
    "inbox",
    "nginx",
    "rollout-watch",
    "dashboard",
)
HEARTBEATS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}
BACK_WITHIN = 30.0


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    found = Settings(home=str(tmp_path_factory.mktemp("stack") / "home"), **port_settings())
    try:
        up(found)
        yield found
    finally:
        down(found)
    # The last word of every test here: nothing is left.
    assert remains(Layout.of(found)) == []
    for name in ("api", "blue", "green", "airflow", "mlflow", "redis"):
        with pytest.raises(ConnectionRefusedError):
            port = int(getattr(found, f"{name}_port"))
            http.client.HTTPConnection("127.0.0.1", port, timeout=2).connect()


def database(settings, role):
    layout = Layout.of(settings)
    return psycopg.connect(
        host=str(postgres.socket_folder(layout)),
        user=role,
        dbname=role,
        passfile=str(postgres.passfile(layout, role)),
        autocommit=True,
    )


def get(settings, path, port="api_port"):
    connection = http.client.HTTPConnection("127.0.0.1", int(getattr(settings, port)), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def secrets_of(settings):
    """Every generated value, from whatever file holds it."""
    keys = Layout.of(settings).keys
    whole = {path.read_text().strip() for path in keys.iterdir() if path.suffix != ".json"}
    passwords = {line.rsplit(":", 1)[-1] for line in whole}
    return {value for value in whole | passwords if len(value) >= 16}


def test_status_says_everything_of_a_running_stack(settings):
    said = json.loads(json.dumps(status(settings)))
    assert said["state"] == "running"
    assert said["api_url"] == f"http://127.0.0.1:{settings.api_port}"
    assert said["airflow_url"] == f"http://127.0.0.1:{settings.api_port}/airflow/"
    assert said["mlflow_url"] == f"http://127.0.0.1:{settings.api_port}/mlflow/"
    assert (said["champion"], said["active_slot"], said["last_session"]) == (None, "blue", None)
    servers = {p["name"]: p for p in said["processes"] if not p["once"]}
    assert tuple(servers) == SERVERS
    for process in servers.values():
        assert (process["state"], process["healthy"], process["fault"]) == ("RUNNING", True, "")
        assert Path(f"/proc/{process['pid']}").exists()
        assert Path(process["log"]).exists()
    assert servers["nginx"]["port"] == int(settings.api_port)


def test_a_second_up_changes_nothing(settings):
    def running():
        return {n: s.pid for n, s in Supervisor(Layout.of(settings)).states().items()}

    before, told = running(), []
    up(settings, lambda name, state, _seconds: told.append((name, state)))
    assert running() == before
    assert {state for _, state in told} == {"healthy"}


def test_secrets_are_private_and_stand_in_no_log_and_no_command_line(settings):
    layout = Layout.of(settings)
    assert stat.S_IMODE(layout.keys.stat().st_mode) == 0o700
    files = [p for p in layout.keys.iterdir() if p.is_file()]
    private = [*files, Supervisor(layout).config, layout.home / "redis" / "redis.conf"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    known = secrets_of(settings)
    assert len(known) >= 9
    logs = [*layout.logs.iterdir(), *(layout.home / "airflow").rglob("*.log")]
    seen = {str(path): path.read_text(errors="replace") for path in logs if path.is_file()}
    seen["ps"] = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert "nginx: master" in seen["ps"]
    assert [name for name, text in seen.items() if any(secret in text for secret in known)] == []


def test_databases_take_only_their_own_roles_password(settings):
    with database(settings, "riskcast") as ours:
        near = ours.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone()
        assert near == (2.0,)
        assert ours.execute("SHOW server_version").fetchone()[0].startswith("18")
    folder = str(postgres.socket_folder(Layout.of(settings)))
    for role in ("postgres", "airflow"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=folder, user=role, dbname="airflow", password="guess")
    passfile = str(postgres.passfile(Layout.of(settings), "mlflow"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=folder, user="mlflow", dbname="airflow", passfile=passfile)


def test_redis_wants_its_password_and_listens_on_loopback_only(settings):
    once = Retry(NoBackoff(), 0)  # else the refusal is taken for a passing fault
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=int(settings.redis_port), retry=once).ping()
    client = redis.Redis.from_url(connected(settings).redis)
    assert client.ping()
    assert client.config_get("bind") == {"bind": "127.0.0.1"}
    client.close()


def test_airflow_has_the_dags_of_the_repository_and_refuses_a_wrong_password(settings):
    url = airflow_url(settings)
    airflow = Airflow(url, "admin", airflow_password(settings))
    for dag in ("market_daily", "train_daily_risk"):
        airflow.await_dag(dag, seconds=60)
    airflow.close()
    with pytest.raises(StackError, match="refused"):
        Airflow(url, "admin", "guess").await_dag("market_daily")


def test_mlflow_keeps_artifacts_in_the_home_and_refuses_other_host_names(
    settings, tmp_path, monkeypatch
):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", _password(settings, "admin"))
    client = MlflowClient(connected(settings).mlflow)
    run = client.create_run(client.create_experiment("stack")).info.run_id
    (tmp_path / "note.txt").write_text("kept")
    client.log_artifact(run, str(tmp_path / "note.txt"))
    kept = list((Layout.of(settings).home / "mlflow-artifacts").rglob("note.txt"))
    assert [path.read_text() for path in kept] == ["kept"]
    connection = http.client.HTTPConnection("127.0.0.1", int(settings.mlflow_port), timeout=10)
    path = "/mlflow/api/2.0/mlflow/experiments/list"
    connection.request("GET", path, headers={"Host": "evil.test"})
    assert connection.getresponse().status == 403
    connection.close()


def _password(settings, user):
    return mlflow_password(Layout.of(settings), user)


@pytest.mark.parametrize("port", ["mlflow_port", "api_port"])
def test_mlflow_lets_in_nobody_without_a_login_and_the_reader_changes_nothing(settings, port):
    url = f"http://127.0.0.1:{getattr(settings, port)}/mlflow"
    api = f"{url}/api/2.0/mlflow"
    admin, reader = ((user, _password(settings, user)) for user in ("admin", "reader"))
    for login in (None, ("admin", "password1234"), ("reader", admin[1]), ("nobody", reader[1])):
        assert httpx.get(f"{url}/", auth=login).status_code == 401
        look = httpx.get(f"{api}/experiments/get?experiment_id=0", auth=login)
        assert look.status_code == 401
    assert "MLflow" in httpx.get(f"{url}/", auth=admin).text
    name = f"kept-{port}"
    made = httpx.post(f"{api}/registered-models/create", json={"name": name}, auth=admin)
    assert made.status_code == 200
    found = httpx.get(f"{api}/registered-models/get", params={"name": name}, auth=reader)
    assert found.status_code == 200
    for what, body in (
        ("registered-models/alias", {"name": name, "alias": "champion", "version": "1"}),
        ("model-versions/create", {"name": name, "source": "mlflow-artifacts:/x"}),
        ("registered-models/set-tag", {"name": name, "key": "k", "value": "v"}),
    ):
        assert httpx.post(f"{api}/{what}", json=body, auth=reader).status_code == 403


def test_mlflow_behind_nginx_takes_this_sites_requests_and_no_other_sites(settings):
    site = f"http://127.0.0.1:{settings.api_port}"
    path = f"{site}/mlflow/ajax-api/2.0/mlflow/experiments/create"
    login = ("admin", _password(settings, "admin"))
    for origin, expected in ((site, 200), ("http://evil.test", 403)):
        answer = httpx.post(path, json={"name": origin}, auth=login, headers={"Origin": origin})
        assert answer.status_code == expected


def test_streams_pass_nginx_and_inner_routes_do_not(settings):
    key = (settings.keys_path / "admin.key").read_text()
    headers = {"X-API-Key": key}
    url = f"127.0.0.1:{settings.api_port}"
    for topic in ("predictions", "market", "news"):
        with connect(f"ws://{url}/ws/{topic}", additional_headers=headers, proxy=None) as socket:
            assert json.loads(socket.recv(timeout=10))["topic"] == topic
    for path in ("/metrics", "/debug/model-info", "/admin/mirror", "/admin/", "/debug/"):
        assert httpx.get(f"http://{url}{path}", headers=headers).status_code == 404


def test_the_api_is_reached_through_nginx_alone(settings):
    code, headers, _ = get(settings, "/health")
    assert (code, headers["X-Riskcast-Slot"]) == (200, "blue")
    assert get(settings, "/ready")[0] == 503, "there is no model yet, and it says so"
    assert get(settings, "/metrics")[0] == 404
    assert get(settings, "/metrics", "blue_port")[0] != 404


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_is_back_within_thirty_seconds_and_has_lost_nothing(settings, name):
    layout = Layout.of(settings)
    supervisor = Supervisor(layout)
    process = next(p for p in declare(settings, layout) if p.name == name)
    with database(settings, "riskcast") as rows:
        rows.execute("CREATE TABLE IF NOT EXISTS kept (name text)")
        rows.execute("INSERT INTO kept VALUES (%s)", (name,))
    client = redis.Redis.from_url(connected(settings).redis)
    client.set(f"kept:{name}", name)
    time.sleep(1.2)  # appendfsync everysec: what Redis may lose is the last second
    old, killed_at = supervisor.states()[name].pid, time.time()
    os.kill(old, signal.SIGKILL)
    lost = 0
    while not is_back(settings, supervisor, process, old, killed_at):
        assert time.time() - killed_at < BACK_WITHIN, f"{name} is not back: {fault(process.health)}"
        lost += name != "nginx" and get(settings, "/health")[0] != 200
        time.sleep(0.2)
    assert lost == 0
    assert client.get(f"kept:{name}") == name.encode()
    client.close()
    with database(settings, "riskcast") as rows:
        assert rows.execute("SELECT count(*) FROM kept WHERE name = %s", (name,)).fetchone() == (1,)


def is_back(settings, supervisor, process, old, killed_at):
    found = supervisor.states()[process.name]
    if found.state != "RUNNING" or found.pid == old or fault(process.health):
        return False
    key = HEARTBEATS.get(process.name)
    if key is None:
        return True
    # The server's figures lag: only a heartbeat made after the kill counts.
    said = json.loads(get(settings, "/airflow/api/v2/monitor/health", "airflow_port")[2])[key]
    beat = datetime.fromisoformat(said[f"latest_{key}_heartbeat"])
    return beat.timestamp() > killed_at + 1


@pytest.mark.slow
def test_servers_end_in_good_order_even_after_their_supervisor_was_killed(settings):
    layout = Layout.of(settings)
    os.kill(launch.recorded(layout.records / RECORD).pid, signal.SIGKILL)
    begun = time.monotonic()
    down(settings)
    assert time.monotonic() - begun < 30
    assert remains(layout) == []
    said = subprocess.run(
        [postgres.binaries() / "pg_controldata", postgres.data(layout)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r"cluster state: +shut down\n", said)
    up(settings)
    assert status(settings)["state"] == "running"
