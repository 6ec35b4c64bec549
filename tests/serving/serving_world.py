"""A small world to serve in: two months of features, a server on a free port, a client."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import uvicorn
from fastapi import FastAPI

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.models.served import ServedModel
from riskcast.registry import Registry
from riskcast.serving.auth import KEY_FILE
from riskcast.tables import Kind, gold

Client = httpx.Client
HOLIDAYS = (date(2018, 11, 22), date(2018, 12, 5), date(2018, 12, 25))
EVER = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
FIRST, LAST = date(2018, 11, 1), date(2018, 12, 31)
SESSIONS = tuple(
    day
    for day in (FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1))
    if day.weekday() < 5 and day not in HOLIDAYS
)


def known_at(session: date) -> datetime:
    return datetime(session.year, session.month, session.day, 21, 15, tzinfo=UTC)


def rows(**changed: float | None) -> pl.DataFrame:
    """Features of every session; `changed` replaces columns on the last one."""
    rng = np.random.default_rng(7)
    data: dict[str, list] = {"symbol": ["GSPC"] * len(SESSIONS), "date": list(SESSIONS)}
    for column in gold.FEATURES_DAILY.columns[2:]:
        if column.kind == Kind.FLOAT:
            low = -9.5 if column.low is None else max(column.low, 0.01)
            high = low + 1 if column.high is None else min(column.high, low + 1)
            data[column.name] = rng.uniform(low, max(low, high), len(SESSIONS)).tolist()
        elif column.kind == Kind.INT:
            data[column.name] = [1] * len(SESSIONS)
        else:
            data[column.name] = [[] for _ in SESSIONS]
    data["rv5_q33"], data["rv5_q67"] = [0.012] * len(SESSIONS), [0.02] * len(SESSIONS)
    for name, value in changed.items():
        data[name][-1] = value
    data["known_at"] = [known_at(day) for day in SESSIONS]
    data["source"] = ["test"] * len(SESSIONS)
    schema = {"simulated": pl.List(pl.String), "known_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(data, schema_overrides=schema)


def published(sessions=SESSIONS, **changed) -> pl.DataFrame:
    """Champion's forecasts of these sessions as they are published."""
    one = {
        "symbol": "GSPC",
        "rv_5d_hat": 0.02,
        "rv_5d_annualised": 0.142,
        "lo_50": 0.015,
        "hi_50": 0.025,
        "lo_80": 0.01,
        "hi_80": 0.03,
        "lo_95": 0.005,
        "hi_95": 0.05,
        "p_calm": 0.2,
        "p_transition": 0.3,
        "p_risk_off": 0.5,
        "top_drivers": ["tv1", "lvix"],
        "driver_effects": [0.2, 0.1],
        "explanation": "Risk is near its usual level.",
        "model_version": "1",
        "slot": "champion",
        "lineage": "{}",
        "source": "derived",
    } | changed
    return pl.DataFrame([{"date": d, "known_at": known_at(d)} | one for d in sessions])


class MemoryRows:
    """The reading half of a lake over one frame of features, broken contract or not."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame, self.reads = frame, 0
        self._version = 0

    def put(self, frame: pl.DataFrame) -> None:
        self.frame, self._version = frame, self._version + 1

    def version(self, table):
        return self._version if table == gold.FEATURES_DAILY else None

    def read(self, table, *, as_of=None, all_vintages=False, version=None):
        self.reads += 1
        return self.frame if as_of is None else self.frame.filter(pl.col("known_at") <= as_of)


def new_home(folder: Path, database: Path) -> Settings:
    """Settings of the green slot, at home in `folder` with a copy of the MLflow database."""
    home = folder / "home"
    home.mkdir()
    shutil.copy(database, home / "mlflow.db")
    return Settings(home=str(home), slot="green")


def register(registry: Registry, model: ServedModel) -> str:
    return registry.register(
        "daily_risk", model, metrics={"qlike": 0.3}, params={}, lineage={}, tags={}
    )


@contextmanager
def serve(app: FastAPI, *, wait_ready: bool = True, **options) -> Iterator[str]:
    """Run the app on a free loopback port; give its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", access_log=False, **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            until(lambda: server.started)
            if wait_ready:
                until(lambda: httpx.get(f"{url}/ready").status_code == 200)
            yield url
        finally:
            server.should_exit = True
            thread.join(20)


def client_of(url: str, settings: Settings) -> httpx.Client:
    key = (settings.keys_path / KEY_FILE).read_text()
    return httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20)


def until(true, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)
