"""Answers on their way to the lake: recorded before they are sent, drained each once."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime

import httpx
import pytest
from serving_world import EVER, client_of, register, rows, until
from small_model import small_model
from tests.standalone.ports import free_ports

from riskcast.core.errors import SpoolFailed, SpoolMalformed
from riskcast.core.settings import Settings
from riskcast.jobs.drain import drain_predictions
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.serving.auth import ensure_api_key
from riskcast.serving.spool import Spool
from riskcast.standalone.processes import riskcast_environment
from riskcast.tables import gold
from riskcast.tables.output import PREDICTIONS_LOG

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def answer(request_id: str = "request-1", **changed):
    return {
        "request_id": request_id,
        "client": "default",
        "at": AT,
        "symbol": "GSPC",
        "as_of_date": date(2018, 12, 31),
        "mode": "online",
        "rv_5d_hat": 0.02,
        "p_calm": 0.2,
        "p_transition": 0.3,
        "p_risk_off": 0.5,
        "model_version": "1",
        "slot": "blue",
        "latency_ms": 1.5,
    } | changed


@pytest.fixture
def home(tmp_path):
    return Settings(home=str(tmp_path / "home"))


def record(settings, *answers, slot="blue"):
    spool = Spool(settings.spool_path / slot)
    spool.start()
    for each in answers:
        spool.append(each)
    spool.stop()


def drain(settings):
    drain_predictions(lake=open_lake(settings), settings=settings)
    return open_lake(settings).read(PREDICTIONS_LOG)


def segments(settings):
    return list(settings.spool_path.glob("*/*.jsonl"))


def test_a_recorded_answer_reaches_the_log_and_its_segment_goes(home):
    record(home, answer())
    row = drain(home).row(0, named=True)
    assert {name: row[name] for name in answer()} == answer()
    assert (row["known_at"], row["source"]) == (AT, "api")
    assert segments(home) == []


def test_a_segment_that_a_server_still_writes_is_left_alone(home):
    spool = Spool(home.spool_path / "blue")
    spool.start()
    spool.append(answer())
    assert drain(home).is_empty()
    spool.append(answer("request-2"))
    spool.stop()
    assert drain(home)["request_id"].to_list() == ["request-1", "request-2"]


def test_an_old_segment_is_sealed_while_the_server_goes_on(home):
    spool = Spool(home.spool_path / "blue", seal_after=0.0)
    spool.start()
    spool.append(answer())
    until(lambda: drain(home).height == 1, seconds=10)
    spool.append(answer("request-2"))
    spool.stop()
    assert drain(home).height == 2


def test_draining_twice_after_a_stop_before_removal_adds_no_row_twice(home):
    record(home, answer(), answer("request-2"))
    kept = {path: path.read_bytes() for path in segments(home)}
    drain(home)
    for path, content in kept.items():  # as if the drain had died after the commit
        path.write_bytes(content)
    assert drain(home).height == 2
    assert segments(home) == []


def test_of_a_request_answered_by_both_colours_the_later_answer_is_logged(home):
    later = answer(slot="green", at=AT.replace(second=1), rv_5d_hat=0.03)
    record(home, later, slot="green")
    record(home, answer())
    found = drain(home)
    assert (found.height, found["slot"][0], found["rv_5d_hat"][0]) == (1, "green", 0.03)


def test_two_clients_may_choose_the_same_request_id(home):
    record(home, answer(), answer(client="other"))
    assert drain(home).height == 2


def test_nothing_is_removed_when_the_lake_refuses(home):
    record(home, answer(rv_5d_hat=99.0))
    with pytest.raises(Exception, match="rv_5d_hat is at most 3"):
        drain(home)
    assert len(segments(home)) == 1


def test_a_torn_last_line_is_left_out_and_a_broken_one_is_told_after_the_rest(home):
    record(home, answer())
    (torn,) = segments(home)
    torn.write_bytes(torn.read_bytes() + b'{"request_id": "unans')
    broken = torn.with_name("broken.jsonl")
    broken.write_bytes(b"no json\n")
    with pytest.raises(SpoolMalformed, match=r"broken\.jsonl"):
        drain(home)
    assert segments(home) == [broken]
    assert open_lake(home).read(PREDICTIONS_LOG).height == 1


def test_an_answer_that_cannot_be_recorded_raises_and_leaves_nothing(home, tmp_path):
    spool = Spool(home.spool_path / "blue")
    spool.start()
    spool.append(answer())
    (path,) = segments(home)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))  # a full disk
    try:
        for _ in range(2):
            with pytest.raises(SpoolFailed):
                spool.append(answer("request-2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert spool.fault
    spool.append(answer("request-3"))
    assert not spool.fault
    spool.stop()
    assert drain(home)["request_id"].to_list() == ["request-1", "request-3"]


class Asker(threading.Thread):
    """Asks with ids of its own and remembers which were answered."""

    def __init__(self, url, settings, number):
        super().__init__()
        self.url, self.settings, self.number = url, settings, number
        self.answered = []

    def run(self):
        with client_of(self.url, self.settings) as http, contextlib.suppress(httpx.HTTPError):
            for i in range(100_000):
                request_id = f"asker-{self.number}-{i}"
                said = http.post("/predict", json={}, headers={"X-Request-Id": request_id})
                if said.status_code == 200:
                    self.answered.append(request_id)


@pytest.mark.stack
def test_every_answer_given_before_kill_9_is_in_the_log_exactly_once(settings):
    registry = Registry(settings)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    open_lake(settings).write(gold.FEATURES_DAILY, rows(), EVER)
    answered = []
    for _ in range(2):
        url, process = _server(settings)
        askers = [Asker(url, settings, f"{process.pid}-{n}") for n in range(4)]
        answers = [asker.answered for asker in askers]
        for asker in askers:
            asker.start()
        until(lambda answers=answers: sum(map(len, answers)) > 200)
        process.kill()
        process.wait(10)
        for asker in askers:
            asker.join(20)
        answered += [request_id for each in answers for request_id in each]
        drain(settings)
    logged = drain(settings)["request_id"].to_list()
    assert len(logged) == len(set(logged))
    assert set(answered) <= set(logged)
    assert len(set(logged) - set(answered)) <= 2 * 4  # recorded, but killed before they left
    assert segments(settings) == []


def _server(settings):
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        **riskcast_environment(settings),
        "RISKCAST_MLFLOW": settings.mlflow_uri,
        "RISKCAST_REDIS": "",
        "RISKCAST_SLOT": "green",
        "RISKCAST_GREEN_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "riskcast.serving"], env=environment)
    url = f"http://127.0.0.1:{port}"

    def ready():
        assert process.poll() is None
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{url}/ready").status_code == 200

    until(ready, seconds=60)
    return url, process
