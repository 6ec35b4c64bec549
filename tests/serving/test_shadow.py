"""Copies of requests: taken at once, scored apart, dropped and counted when there are too many."""

import asyncio
import time

import httpx
import pytest
from serving_world import MemoryRows, client_of, register, rows, serve, until
from small_model import small_model

from riskcast.core.errors import NotReady
from riskcast.products import DAILY_RISK
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ADMIN_KEY_FILE, ensure_admin_key, ensure_api_key
from riskcast.serving.shadow import Copy, Sink

PRODUCT = "daily_risk"


@pytest.fixture
def registry(settings):
    registry = Registry(settings)
    registry.promote(PRODUCT, register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    ensure_admin_key(settings)
    return registry


@pytest.fixture
def slot(settings, registry):
    app = create_app(settings, registry, lake=MemoryRows(rows()))
    with serve(app) as url, client_of(url, settings) as client:
        key = (settings.keys_path / ADMIN_KEY_FILE).read_text()
        yield app, client, httpx.Headers({"X-API-Key": key})


def _outcomes(client, admin, count, last=100):
    found = {}

    def scored():
        found.update(client.get("/admin/mirror", params={"last": last}, headers=admin).json())
        return len(found["outcomes"]) >= count

    until(scored)
    return found


def test_a_copy_is_scored_as_the_request_itself_and_reaches_no_spool(slot, settings):
    _, client, admin = slot
    bodies = ({}, {"as_of_date": "2018-12-20"}, {"feature_vector": {"lvix": -8.5}})
    for number, body in enumerate(bodies):
        said = client.post(
            "/admin/mirror", json=body, headers={"X-Request-Id": f"copy-000{number}"}
        )
        assert (said.status_code, said.json()) == (202, {"held": True})
    found = _outcomes(client, admin, 3)
    assert (found["slot"], found["received"], found["dropped"]) == ("green", 3, 0)
    spooled = [path.read_text() for path in settings.spool_path.rglob("*.jsonl")]
    assert "copy-000" not in "".join(spooled)
    for number, body in enumerate(bodies):
        outcome, given = found["outcomes"][number], client.post("/predict", json=body).json()
        assert (outcome["request_id"], outcome["status"]) == (f"copy-000{number}", 200)
        assert (outcome["version"], outcome["code"]) == ("1", "")
        assert outcome["rv_5d_hat"] == given["rv_5d_hat"]
        assert outcome["regime_probs"] == given["regime_probs"]
        assert 0 < outcome["seconds"] < 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"feature_vector": {"nonsense": 1}}', 422, "feature-unknown"),
        (b'{"as_of_date": "2030-01-01"}', 422, "no-such-session"),
        (b"{", 422, "invalid-request"),
    ],
)
def test_a_copy_that_would_be_refused_says_so(slot, body, status, code):
    _, client, admin = slot
    assert client.post("/admin/mirror", content=body).status_code == 202
    (outcome,) = _outcomes(client, admin, 1)["outcomes"]
    assert (outcome["status"], outcome["code"]) == (status, code)
    assert outcome["rv_5d_hat"] is None


def test_an_unforeseen_failure_is_an_outcome_and_the_work_goes_on():
    class Odd:
        slot, model, product = "green", None, DAILY_RISK
        asked = 0

        def current_model(self):
            self.asked += 1
            raise ZeroDivisionError("never foreseen") if self.asked == 1 else NotReady("none")

    async def outcomes():
        sink = Sink(Odd())
        task = asyncio.create_task(sink.work())
        for number in range(2):
            sink.take(Copy(None, f"copy-000{number}", b"{}"))
        while len(sink.told(2)["outcomes"]) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        return [(each["status"], each["code"]) for each in sink.told(2)["outcomes"]]

    assert asyncio.run(outcomes()) == [(500, "internal"), (503, "not-ready")]


def test_only_the_newest_outcomes_asked_for_are_told(slot):
    _, client, admin = slot
    for number in range(5):
        client.post("/admin/mirror", json={}, headers={"X-Request-Id": f"copy-000{number}"})
    _outcomes(client, admin, 5)
    told = _outcomes(client, admin, 2, last=2)["outcomes"]
    assert [each["request_id"] for each in told] == ["copy-0003", "copy-0004"]
    assert _outcomes(client, admin, 0, last=0)["outcomes"] == []


def test_the_sink_takes_its_clients_key_and_tells_only_an_admin(slot):
    _, client, admin = slot
    nobody = httpx.Headers({"X-API-Key": ""})
    assert client.post("/admin/mirror", json={}, headers=nobody).status_code == 401
    assert client.get("/admin/mirror", headers=nobody).status_code == 401
    assert client.get("/admin/mirror").status_code == 403
    assert client.get("/admin/mirror", headers=admin).status_code == 200


def test_a_large_copy_is_refused(slot):
    _, client, _ = slot
    assert client.post("/admin/mirror", content=b"x" * 70_000).status_code == 413


def test_too_many_copies_are_dropped_and_counted_and_taking_one_never_waits(slot):
    app, _, _ = slot
    sink = Sink(app.state.live, waiting=3)
    copy = Copy(None, "copy-0001", b"{}")
    assert [sink.take(copy) for _ in range(5)] == [True, True, True, False, False]
    assert sink.told(1) == {
        "slot": "green", "received": 5, "dropped": 2, "waiting": 3, "outcomes": [],
    }  # fmt: skip


def test_copies_leave_the_server_free_between_each_other():
    class Slow:
        slot, model, product = "green", None, DAILY_RISK

        def current_model(self):
            time.sleep(0.01)  # holds the loop, as a forecast does
            raise NotReady("none")

    async def turns_of_others():
        sink = Sink(Slow())
        for number in range(10):
            sink.take(Copy(None, f"copy-000{number}", b"{}"))
        task, turns = asyncio.create_task(sink.work()), 0
        while len(sink.told(10)["outcomes"]) < 10:
            await asyncio.sleep(0)
            turns += 1
        task.cancel()
        return turns

    assert asyncio.run(turns_of_others()) > 1_000


def test_the_work_ends_when_the_server_does(slot):
    app, _, _ = slot

    async def cancelled():
        task = asyncio.create_task(Sink(app.state.live).work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert asyncio.run(cancelled())
