"""A running server follows champion and features, and keeps what works when they break."""

import threading
import time
from datetime import date, timedelta

import httpx
import polars as pl
import pytest
from serving_world import MemoryRows, client_of, register, rows, serve, until
from small_model import small_model

from riskcast.core import turns
from riskcast.core.errors import ArtifactRefused, RegistryError, StackError
from riskcast.core.settings import Settings
from riskcast.products import DAILY_RISK
from riskcast.registry import LoadedModel, Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_api_key
from riskcast.serving.features import LakeFeatures
from riskcast.serving.live import MODEL_EVERY, Live

PRODUCT = DAILY_RISK.name


@pytest.fixture
def registry(settings: Settings) -> Registry:
    registry = Registry(settings)
    registry.promote(PRODUCT, register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    return registry


def _served(client: httpx.Client) -> str:
    return client.post("/predict", json={}).headers["X-Riskcast-Model"]


def _code(response: httpx.Response) -> str:
    return response.json()["error"]["code"]


def test_a_new_champion_serves_within_seconds_and_no_request_fails(settings, registry):
    answers, done = [], threading.Event()
    with serve(create_app(settings, registry, lake=MemoryRows(rows()))) as url:

        def ask() -> None:
            with client_of(url, settings) as client:
                while not done.is_set():
                    response = client.post("/predict", json={})
                    said = response.json()
                    answers.append((response.status_code, said.get("model", {}).get("version")))

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        try:
            with client_of(url, settings) as client:
                second = register(registry, small_model(shift=0.5))
                before = client.post("/predict", json={}).json()["rv_5d_hat"]
                started = time.monotonic()
                registry.promote(PRODUCT, second, who="test", why="better")
                until(lambda: _served(client) == f"{PRODUCT}/{second}", seconds=10)
                assert time.monotonic() - started < 10
                after = client.post("/predict", json={}).json()["rv_5d_hat"]
                assert after == pytest.approx(before * 2.718281828**0.25, rel=1e-6)
        finally:
            done.set()
            for asker in askers:
                asker.join(20)
    assert len(answers) > 50
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1", second}


def test_a_version_that_cannot_load_is_reported_and_the_old_one_stays(settings, registry):
    app = create_app(settings, registry, lake=MemoryRows(rows()))
    with serve(app) as url, client_of(url, settings) as client:
        second = register(registry, small_model(shift=0.5))
        folders = (settings.home_path / "mlflow-artifacts").rglob("data/one.model.json")
        newest = max(folders, key=lambda path: path.stat().st_mtime_ns)
        newest.write_bytes(newest.read_bytes() + b" ")
        registry.set_alias(PRODUCT, "champion", second)
        until(lambda: client.get("/ready").json()["troubles"], seconds=10)
        ready = client.get("/ready")
        assert ready.status_code == 200
        assert f"version {second} refused" in ready.json()["troubles"][0]
        assert "altered" in ready.json()["troubles"][0]
        assert _served(client) == f"{PRODUCT}/1"
        assert "riskcast_model_refused 1.0" in client.get("/metrics").text
        registry.set_alias(PRODUCT, "champion", "1")
        until(lambda: not client.get("/ready").json()["troubles"], seconds=10)


def test_a_slot_loads_the_version_of_its_own_alias_and_the_champion_without_one(settings, registry):
    app = create_app(settings, registry, lake=MemoryRows(rows()))  # the slot is green
    second, third = (register(registry, small_model(shift=shift)) for shift in (0.5, 0.6))
    with serve(app) as url, client_of(url, settings) as client:
        assert _served(client) == f"{PRODUCT}/1"
        registry.set_alias(PRODUCT, "blue", third)
        registry.set_alias(PRODUCT, "green", second)
        until(lambda: _served(client) == f"{PRODUCT}/{second}", seconds=10)
        assert client.get("/ready").headers["X-Riskcast-Model"] == f"{PRODUCT}/{second}"
        registry.promote(PRODUCT, third, who="test", why="the other slot's")
        time.sleep(2 * MODEL_EVERY)
        assert _served(client) == f"{PRODUCT}/{second}"
        registry.delete_alias(PRODUCT, "green")
        until(lambda: _served(client) == f"{PRODUCT}/{third}", seconds=10)


class _Switchable(Registry):
    """A registry whose connection a test can cut."""

    down = False

    def alias(self, product: str, name: str) -> str | None:
        if self.down:
            raise RegistryError("the registry does not answer")
        return super().alias(product, name)


def test_the_old_model_serves_while_the_registry_is_down(settings, registry):
    cut = _Switchable(settings)
    app = create_app(settings, cut, lake=MemoryRows(rows()))
    with serve(app) as url, client_of(url, settings) as client:
        cut.down = True
        until(lambda: client.get("/ready").json()["troubles"], seconds=10)
        assert client.get("/ready").status_code == 200
        assert _served(client) == f"{PRODUCT}/1"
        cut.down = False
        until(lambda: not client.get("/ready").json()["troubles"], seconds=10)


def test_a_server_without_a_model_is_alive_but_not_ready_until_there_is_one(settings):
    registry = Registry(settings)
    ensure_api_key(settings)
    app = create_app(settings, registry, lake=MemoryRows(rows()))
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        assert client.get("/health").status_code == 200
        until(lambda: "is green or champion yet" in client.get("/ready").text)
        assert client.get("/ready").status_code == 503
        refused = client.post("/predict", json={})
        assert (refused.status_code, _code(refused)) == (503, "not-ready")
        assert refused.headers["X-Riskcast-Model"] == "none"
        version = register(registry, small_model())
        registry.promote(PRODUCT, version, who="test", why="first")
        until(lambda: client.get("/ready").status_code == 200, seconds=10)
        assert client.post("/predict", json={}).status_code == 200


def test_a_needed_feature_that_is_null_is_named_and_can_be_given(settings, registry):
    lake = MemoryRows(rows(lvix=None, tv22=float("nan")))
    app = create_app(settings, registry, lake=lake)
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        until(lambda: "feature-missing" in client.get("/ready").text)
        refused = client.post("/predict", json={})
        assert (refused.status_code, _code(refused)) == (503, "feature-missing")
        assert all(name in refused.json()["error"]["message"] for name in ("lvix", "tv22"))
        given = {"feature_vector": {"lvix": -9.0, "tv22": -9.0}}
        until(lambda: client.post("/predict", json=given).status_code == 200)
        assert client.post("/predict", json={"as_of_date": "2018-12-20"}).status_code == 200


def test_a_simulated_value_is_never_given_to_the_model(settings, registry):
    frame = rows().with_columns(simulated=pl.Series([["VIX"]] * len(rows())))
    app = create_app(settings, registry, lake=MemoryRows(frame))
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        until(lambda: "lvix (simulated)" in client.get("/ready").text)
        refused = client.post("/predict", json={})
        assert (refused.status_code, _code(refused)) == (503, "feature-missing")
        assert "lvix (simulated)" in refused.json()["error"]["message"]


class _Stored:
    """An online store that holds one row and can stop answering."""

    def __init__(self, row) -> None:
        self.row, self.down = row, False

    def latest(self, symbol: str):
        if self.down:
            raise StackError("the online store does not answer")
        return self.row


def _row_of(session: date):
    features = LakeFeatures(MemoryRows(rows()), "GSPC")
    features.latest("GSPC")
    return features.on(session)


def test_features_older_than_their_table_allows_are_refused(settings, registry):
    stale = _Stored(_row_of(date(2018, 12, 26)))  # the lake, and so the clock, is five days ahead
    app = create_app(settings, registry, features=stale, lake=MemoryRows(rows()))
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        until(lambda: "feature-stale" in client.get("/ready").text)
        refused = client.post("/predict", json={})
        assert (refused.status_code, _code(refused)) == (503, "feature-stale")
        assert "2018-12-26" in refused.json()["error"]["message"]
        stale.row = _row_of(date(2018, 12, 31))
        until(lambda: client.get("/ready").status_code == 200, seconds=10)
        assert client.post("/predict", json={}).json()["as_of_date"] == "2018-12-31"


def test_the_last_features_serve_while_their_store_is_down(settings, registry):
    stored = _Stored(_row_of(date(2018, 12, 31)))
    app = create_app(settings, registry, features=stored, lake=MemoryRows(rows()))
    with serve(app) as url, client_of(url, settings) as client:
        stored.down = True
        until(lambda: client.get("/ready").json()["troubles"], seconds=10)
        assert client.get("/ready").status_code == 200
        assert client.post("/predict", json={}).status_code == 200


def test_a_new_session_is_picked_up_and_requests_do_not_read_the_lake(settings, registry):
    lake = MemoryRows(rows().head(len(rows()) - 1))
    app = create_app(settings, registry, lake=lake)
    with serve(app) as url, client_of(url, settings) as client:
        assert client.post("/predict", json={}).json()["as_of_date"] == "2018-12-28"
        reads = lake.reads
        for _ in range(20):
            client.post("/predict", json={})
        assert lake.reads == reads
        lake.put(rows())
        newest = lambda: client.post("/predict", json={}).json()["as_of_date"]  # noqa: E731
        until(lambda: newest() == "2018-12-31", seconds=10)


def test_a_replay_of_a_session_the_model_saw_is_marked_in_sample(settings, registry):
    seen = small_model(fit_end=date(2018, 12, 20))
    registry.promote(PRODUCT, register(registry, seen), who="test", why="newer fit")
    app = create_app(settings, registry, lake=MemoryRows(rows()))
    with serve(app) as url, client_of(url, settings) as client:
        marks = {
            day: client.post("/predict", json={"as_of_date": day}).json()["in_sample"]
            for day in ("2018-12-19", "2018-12-20", "2018-12-31")
        }
    assert marks == {"2018-12-19": True, "2018-12-20": False, "2018-12-31": False}


@pytest.mark.parametrize(
    ("model", "tags", "why"),
    [
        (small_model(product="another"), {}, "another"),
        (small_model(columns=("tv1", "tv5", "no_such_column")), {}, "no_such_column"),
        (small_model(shift=float("inf")), {}, "unsound"),
        (small_model(), {"asset": "QQQ"}, "QQQ"),
    ],
)
def test_a_model_that_fails_its_smoke_forecast_never_serves(settings, model, tags, why):
    class Handed(Registry):
        def alias(self, product, name):
            return "1"

        def load(self, product, alias_or_version):
            from riskcast.registry import LoadedModel

            return LoadedModel(model, "1", "0" * 64, tags)

    live = Live(settings, DAILY_RISK, Handed(settings), None, LakeFeatures(MemoryRows(rows()), "X"))
    live.look_for_model()
    assert live.model is None
    assert why in live.refused.reason


def test_a_fault_nobody_foresaw_does_not_end_the_watch(settings, registry):
    class Odd(Registry):
        calls = 0

        def alias(self, product, name):
            self.calls += 1
            if self.calls == 1:
                raise ZeroDivisionError("never foreseen")
            return super().alias(product, name)

    odd = Odd(settings)
    with serve(create_app(settings, odd, lake=MemoryRows(rows())), wait_ready=False) as url:
        until(lambda: httpx.get(f"{url}/ready").status_code == 200, seconds=15)
    assert odd.calls > 1


def test_a_refused_version_is_not_loaded_again_at_every_look(settings):
    class Broken(Registry):
        loads = 0

        def alias(self, product, name):
            return "7"

        def load(self, product, alias_or_version):
            self.loads += 1
            raise ArtifactRefused("altered")

    broken = Broken(settings)
    live = Live(settings, DAILY_RISK, broken, None, LakeFeatures(MemoryRows(rows()), "X"))
    for _ in range(5):
        live.look_for_model()
    assert broken.loads == 1


def test_a_model_is_loaded_in_turns_with_the_requests_of_the_one_that_serves(
    settings, registry, monkeypatch
):
    rests = []
    monkeypatch.setattr(turns, "sleep", rests.append)
    features = LakeFeatures(MemoryRows(rows()), settings.asset_symbol)
    live = Live(settings, DAILY_RISK, registry, features, features)
    live.look_for_model()
    assert rests == []  # nothing is answered before the first
    second = register(registry, small_model(shift=0.5))
    registry.promote(PRODUCT, second, who="test", why="better")
    live.look_for_model()
    assert live.model.version == second
    assert len(rests) > 0


def test_the_clock_of_sample_data_stands_at_the_newest_row(settings, registry):
    features = LakeFeatures(MemoryRows(rows()), settings.asset_symbol)
    live = Live(settings, DAILY_RISK, registry, features, features)
    live.look_for_features()
    assert live.clock().mode == "sample"
    assert live.clock().now() - live.row.known_at == timedelta(0)


class _Slow(Registry):
    """A registry that takes its time."""

    def load(self, product: str, version: str) -> LoadedModel:
        time.sleep(1.0)
        return super().load(product, version)


@pytest.mark.usefixtures("registry")
def test_the_first_request_a_server_takes_is_answered(settings):
    app = create_app(settings, _Slow(settings), lake=MemoryRows(rows()))
    with serve(app, wait_ready=False) as url, client_of(url, settings) as client:
        until(lambda: client.get("/health").status_code == 200)
        assert client.post("/predict", json={}).status_code == 200
