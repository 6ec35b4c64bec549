"""Where MLflow's webhooks ring: a receiver on loopback that only wakes whoever waits.

What a delivery says is never read. The registry is asked instead, so a forged, repeated or lost
delivery can cost or spare one look, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from riskcast.core.clock import wall
from riskcast.core.settings import LOOPBACK

PATH = "/registry-changed"
OLDEST = 300.0  # seconds; an older delivery is a repeated one
MOST_BYTES = 100_000
IDLE_SECONDS = 5.0  # after which a silent connection is closed


class Bell:
    """Is rung by a signed delivery; `wait` returns then, or after its time.

    Attributes
    ----------
    url : str
        Where to deliver; on a port of its own choice, so that several may live on one machine.
    """

    def __init__(self, url: str, rung: Event) -> None:
        self.url, self._rung = url, rung

    def wait(self, seconds: float) -> bool:
        """Return whether it was rung since the last wait, at the latest after `seconds`."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung


@contextmanager
def hung(secret: str) -> Iterator[Bell]:
    """Give a bell that deliveries signed with the secret ring, while the context lasts."""
    rung = Event()

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_SECONDS

        def do_POST(self) -> None:
            told = self.headers.get("Content-Length", "")
            length = int(told) if told.isdigit() else MOST_BYTES + 1
            if self.path != PATH or length > MOST_BYTES:
                self._say(404)
                return
            body, now = self.rfile.read(length), wall().timestamp()
            if not signed(secret, self.headers, body, now):
                self._say(401)
                return
            rung.set()
            self._say(204)

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass  # MLflow logs what it delivers

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, name="bell", daemon=True)
        thread.start()
        try:
            yield Bell(f"http://{LOOPBACK}:{server.server_port}{PATH}", rung)
        finally:
            server.shutdown()
            thread.join()


def signed(secret: str, headers: Message, body: bytes, now: float) -> bool:
    """Whether a delivery is fresh and signed as MLflow signs (the scheme of Standard Webhooks).

    Parameters
    ----------
    now : float
        Seconds since the epoch.
    """
    delivery, at = headers.get("X-MLflow-Delivery-Id", ""), headers.get("X-MLflow-Timestamp", "")
    if not (at.isascii() and at.isdigit() and abs(now - int(at)) <= OLDEST):
        return False
    message = f"{delivery}.{at}.".encode() + body
    made = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    wanted = f"v1,{b64encode(made).decode()}"
    return hmac.compare_digest(wanted.encode(), headers.get("X-MLflow-Signature", "").encode())
