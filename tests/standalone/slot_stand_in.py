"""Stand-in for a model server, sound or broken: `PORT SLOT [KIND [VERSION]]`.

KIND is an HTTP status of /predict, or `ok`, `slow`, `nan`, `schema`, or `crash`, which serves for
a moment, dies and starts again. /health answers whatever the kind, as a broken model's would.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SLOT = int(sys.argv[1]), sys.argv[2]
KIND = sys.argv[3] if len(sys.argv) > 3 else "ok"
VERSION = sys.argv[4] if len(sys.argv) > 4 else SLOT
STATUS = int(KIND) if KIND.isdigit() else 200
SLOW_SECONDS, CRASH_AFTER = 1.5, 0.3
COPIES = deque(maxlen=2000)


def forecast():
    """Return the figures of an answer, as wrong as the kind wants them."""
    if KIND == "schema":
        return {"forecast": "0.02"}
    hat = float("nan") if KIND == "nan" else 0.02
    probs = dict(zip(("calm", "transition", "risk_off"), (0.5, 0.3, 0.2), strict=True))
    return {"rv_5d_hat": hat, "regime_probs": probs}


class Slot(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request_id = self.headers.get("X-Request-Id", "none")
        if self.path == "/admin/mirror":
            seconds = SLOW_SECONDS if KIND == "slow" else 0.001
            COPIES.append({
                "request_id": request_id, "at": time.time(), "status": STATUS, "code": "",
                "seconds": seconds, "version": VERSION, **forecast(),
            })  # fmt: skip
            self.say(202, {"held": True})
            return
        if KIND == "slow":
            time.sleep(SLOW_SECONDS)
        status = STATUS if self.path == "/predict" else 200
        model = {"product": "daily_risk", "version": VERSION}
        self.say(status, {"slot": SLOT, "path": self.path, "model": model, **forecast()})

    def do_GET(self):
        if self.path.startswith("/admin/mirror"):
            count = len(COPIES)
            told = {"slot": SLOT, "received": count, "dropped": 0, "waiting": 0}
            self.say(200, told | {"outcomes": list(COPIES)})
        else:
            self.say(200, {"slot": SLOT, "path": self.path, "ready": True})

    def say(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Riskcast-Slot", SLOT)
        self.send_header("X-Riskcast-Model", f"daily_risk/{VERSION}")
        self.send_header("X-Request-Id", self.headers.get("X-Request-Id", "none"))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def start_again():
    time.sleep(CRASH_AFTER)
    os.execv(sys.executable, [sys.executable, *sys.argv])  # the pid stays, so a test can end it


if KIND == "crash":
    threading.Thread(target=start_again, daemon=True).start()
Server(("127.0.0.1", PORT), Slot).serve_forever()
