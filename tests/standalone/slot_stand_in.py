"""Stand-in for a model server: says which slot it is. `PORT SLOT [STATUS of /predict]`."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SLOT = int(sys.argv[1]), sys.argv[2]
STATUS = int(sys.argv[3]) if len(sys.argv) > 3 else 200


class Slot(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f'{{"slot":"{SLOT}","path":"{self.path}"}}'.encode()
        self.send_response(STATUS if self.path == "/predict" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Riskcast-Slot", SLOT)
        self.send_header("X-Riskcast-Model", f"daily_risk/{SLOT}")
        self.send_header("X-Request-Id", self.headers.get("X-Request-Id", "none"))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", PORT), Slot).serve_forever()
