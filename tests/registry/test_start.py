"""What a client of a remote registry loads: its start is paid by every step and server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CODE = """
import sys
from riskcast.core.settings import Settings
from riskcast.registry import Registry
assert Registry(Settings(mlflow=sys.argv[1])).alias("daily_risk", "champion") is None
print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


class _Empty(BaseHTTPRequestHandler):
    """A registry without any version."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()
        said = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such alias"}
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_asking_a_remote_registry_imports_no_feature_store_and_no_forest(url):
    done = subprocess.run(
        [sys.executable, "-c", CODE, url], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = done.stdout
    assert "'mlflow'" in loaded
    for heavy in ("feast", "lightgbm", "xgboost"):
        assert f"'{heavy}'" not in loaded
