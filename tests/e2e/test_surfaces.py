"""Every way in, tried without a login, with wrong and shipped ones, and with the right one.

And what is said when that fails: no log file and no answer of the stack repeats a secret.
"""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psycopg
import pytest
import redis
from tests.e2e.small_stack import small_stack

from riskcast.core.settings import PREFIX, Settings
from riskcast.routing.doors import POLICIES
from riskcast.standalone import airflow_password, connected, postgres
from riskcast.standalone.layout import Layout, mlflow_password

pytestmark = [pytest.mark.slow, pytest.mark.stack]
CANARY = "cAn4ry-s3cret_value-0xFEED"
# What products ship with, or tutorials use.
SHIPPED = [
    ("admin", "admin"), ("admin", "password"), ("admin", "password1234"), ("airflow", "airflow"),
    ("root", "root"), ("postgres", "postgres"), ("mlflow", "mlflow"), ("admin", ""),
    ("admin", CANARY),
]  # fmt: skip
# Pages behind a login at nginx or behind it: path, status without a login, whose login opens it.
PAGES = {
    "/dashboard/": "console",
    "/dashboard/_stcore/health": "console",
    "/inbox/": "console",
    "/reports/": "console",
    "/mlflow/": "mlflow",
    "/mlflow/api/2.0/mlflow/experiments/search?max_results=1": "mlflow",
    "/airflow/api/v2/dags": "airflow",
    "/airflow/api/v2/connections": "airflow",
}
# Routes of the API: method, path, status with the default key.
ROUTES = {
    ("POST", "/predict"): {200, 503},
    ("POST", "/predict/batch"): {422},
    ("GET", "/predictions/history"): {200},
    ("GET", "/monitoring/drift/check"): {200, 404, 503},
    ("GET", "/news/recent"): {200, 404, 503},
}
OPEN = ("/", "/health", "/ready", "/docs", "/openapi.json")
INSIDE = ("/metrics", "/admin/mirror", "/debug/model-info", "/airflow/execution/health", "/_copy")


@pytest.fixture(scope="module")
def settings():
    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as folder, small_stack(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def site(settings):
    url = f"http://127.0.0.1:{settings.api_port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


def right(settings, door):
    """Return what opens a door, as arguments of a request."""
    if door == "console":
        return {"auth": ("admin", (settings.keys_path / "console").read_text().strip())}
    if door == "mlflow":
        return {"auth": ("admin", mlflow_password(Layout.of(settings), "admin"))}
    login = {"username": "admin", "password": airflow_password(settings)}
    url = f"http://127.0.0.1:{settings.api_port}/airflow/auth/token"
    token = httpx.post(url, json=login, trust_env=False, timeout=30).json()["access_token"]
    return {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_to_its_own_login_and_to_no_other(settings, site, path):
    assert site.get(path).status_code == 401
    for login in SHIPPED:
        assert site.get(path, auth=login).status_code == 401, login
    forged = {"Authorization": f"Bearer {CANARY}"}
    assert site.get(path, headers=forged).status_code in (401, 403)
    assert site.get(path, **right(settings, PAGES[path])).status_code == 200


def test_airflow_gives_no_token_for_a_shipped_password(site):
    for user, password in SHIPPED:
        answer = site.post("/airflow/auth/token", json={"username": user, "password": password})
        assert answer.status_code in (401, 422), (user, answer.text)
    assert site.get("/airflow/auth/token").status_code != 200  # only where all are admins
    assert site.post("/airflow/auth/token/cli", json={}).status_code in (401, 422)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_of_the_api_opens_to_a_key_alone(settings, site, method, path):
    key = (settings.keys_path / "api.key").read_text().strip()
    body = {"json": {}} if method == "POST" else {}
    assert site.request(method, path, **body).status_code == 401
    for wrong in (CANARY, "admin", "changeme", key[:-1]):
        for headers in ({"X-API-Key": wrong}, {"Authorization": f"Bearer {wrong}"}):
            assert site.request(method, path, headers=headers, **body).status_code == 401
    answer = site.request(method, path, headers={"X-API-Key": key}, **body)
    assert answer.status_code in ROUTES[method, path], answer.text


@pytest.mark.parametrize("path", INSIDE)
def test_what_steers_the_stack_is_not_there_from_outside(settings, site, path):
    key = (settings.keys_path / "admin.key").read_text().strip()
    assert site.get(path, headers={"X-API-Key": key}).status_code == 404


def test_servers_behind_nginx_ask_for_a_login_at_their_own_ports_too(settings):
    for port, path, status in (
        ("mlflow_port", "/mlflow/api/2.0/mlflow/experiments/search", 401),
        ("airflow_port", "/airflow/api/v2/dags", 401),
        ("airflow_port", "/airflow/execution/health", 200),  # says it lives; tasks need a token
        ("airflow_port", "/airflow/execution/variables/x", 401),
        ("blue_port", "/metrics", 401),
        ("blue_port", "/admin/mirror", 401),
        ("inbox_port", "/", 401),
    ):
        url = f"http://127.0.0.1:{getattr(settings, port)}{path}"
        answer = httpx.get(url, trust_env=False, timeout=30)
        assert answer.status_code in (status, 403), (url, answer.text)


def test_redis_takes_its_own_password_alone(settings):
    for password in (None, "", "redis", "foobared", CANARY):
        client = redis.Redis(port=int(settings.redis_port), password=password)
        with pytest.raises(redis.RedisError):
            client.ping()
        client.close()
    client = redis.Redis.from_url(connected(settings).redis)
    assert client.ping()
    client.close()


def test_postgres_listens_on_its_socket_alone_and_takes_its_own_passwords(settings):
    layout = Layout.of(settings)
    socket = str(postgres.socket_folder(layout))
    for role in ("postgres", *postgres.DATABASES):
        for password in ("postgres", role, "", CANARY):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host=socket, user=role, dbname=role, password=password)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="127.0.0.1", port=5432, user="postgres", connect_timeout=2)
    passfile = str(postgres.passfile(layout, "riskcast"))
    with psycopg.connect(
        host=socket, user="riskcast", dbname="riskcast", passfile=passfile
    ) as found:
        assert found.execute("SHOW listen_addresses").fetchone() == ("",)
        stored = found.execute("SHOW password_encryption").fetchone()
        assert stored == ("scram-sha-256",)


def test_every_answer_says_what_a_browser_may_do_with_it(settings, site):
    logins = {name: right(settings, name) for name in ("console", "mlflow")}
    for path, door in [(p, None) for p in (*OPEN, "/nothing")] + list(PAGES.items()):
        for given in ({}, logins.get(door) or {}):
            headers = site.get(path, **given).headers
            assert headers["x-content-type-options"] == "nosniff"
            policies = headers.get_list("content-security-policy")
            assert len(policies) == 1, path
            assert "default-src 'none'" in policies[0]
            assert "frame-ancestors" in policies[0]
            assert "server" not in headers or "/" not in headers["server"]
    for name, policy in POLICIES.items():
        reach = [part.split()[1:] for part in policy.split(";")]
        assert not {"*", "https:", "http:"} & {source for part in reach for source in part}, name


def riskcast(settings, *arguments, **changed):
    """Run a command against the stack that must fail; return all that it said."""
    given = {PREFIX + f.name.upper(): getattr(settings, f.name) for f in fields(Settings)}
    program = str(Path(sys.executable).with_name("riskcast"))
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env=os.environ | given | changed,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_no_log_and_no_answer_repeats_a_secret(settings, site, tmp_path):
    said = []
    basic, header = {"auth": ("admin", CANARY)}, {"headers": {"X-API-Key": CANARY}}
    for path in (*PAGES, *(path for _, path in ROUTES), *OPEN, *INSIDE, "/nothing"):
        for given in (basic, header, {"headers": {"Cookie": f"_token={CANARY}"}}):
            said.append(site.get(path, **given).text)
            said.append(site.post(path, json={"as_of_date": "2018-12-31"}, **given).text)
    said.append(site.post("/airflow/auth/token", json={"username": "a", "password": CANARY}).text)
    password = tmp_path / "mail"
    password.write_text(CANARY)
    password.chmod(0o600)
    closed = "http://127.0.0.1:9"
    day = ("--start", "2018-12-31", "--end", "2018-12-31")
    for command, changed in {
        ("run", "market_daily", "materialise", *day): {
            "RISKCAST_REDIS": f"redis://:{CANARY}@127.0.0.1:{settings.redis_port}/0"
        },
        ("run", "market_daily", "ingest_macro", *day): {
            "RISKCAST_SOURCE": "live", "RISKCAST_FRED_URL": closed, "FRED_API_KEY": CANARY,
        },
        ("run", "market_daily", "features", *day): {
            "RISKCAST_LAKE": "s3://none/x", "AWS_ENDPOINT_URL": closed,
            "AWS_ACCESS_KEY_ID": "AKIAX",
            "AWS_SECRET_ACCESS_KEY": CANARY, "AWS_DEFAULT_REGION": "us-east-1",
        },
        ("models", "list"): {"RISKCAST_MLFLOW": f"http://admin:{CANARY}@127.0.0.1:9"},
        ("models", "promote", "1", "--why", "x"): {
            "RISKCAST_MLFLOW": f"http://127.0.0.1:{settings.mlflow_port}/mlflow",
            "MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": CANARY,
        },
    }.items():  # fmt: skip
        said.append(riskcast(settings, *command, **changed))
    assert len([text for text in said if text]) > 50
    assert [text for text in said if CANARY in text] == []
    home = Layout.of(settings).home
    logs = [p for p in (home / "logs", *home.glob("airflow/**/logs")) for p in p.rglob("*")]
    found = {str(p) for p in logs if p.is_file() and CANARY in p.read_text(errors="replace")}
    assert found == set()
    assert len(logs) > 8
    # What is looked for would be found: the same words, said where nobody masks them.
    (home / "logs" / "planted.log").write_text(f"password {CANARY}")
    assert any(CANARY in p.read_text() for p in (home / "logs").glob("*.log"))
