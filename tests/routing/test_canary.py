"""Canary shares, copies and what the router sees of them, on the real nginx."""

import http.client
import math
import signal
import time
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest
from routing_house import PRODUCT, SHARES, Load

from riskcast.core.errors import StackError
from riskcast.routing import Traffic

pytestmark = pytest.mark.stack
ASKED = 1200


def _ask(house, times):
    """Return how often each slot answered, and each status was seen, over one connection."""
    slots, statuses = Counter(), Counter()
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=20)
    for _ in range(times):
        connection.request("POST", "/predict", b"{}")
        answer = connection.getresponse()
        answer.read()
        slots[answer.headers["X-Riskcast-Slot"]] += 1
        statuses[answer.status] += 1
    connection.close()
    return slots, statuses


def _most(times, percent):
    """What a fair share exceeds once in a million runs."""
    share = percent / 100
    return times * share + 4.8 * math.sqrt(times * share * (1 - share))


def _copied(house, slot="green"):
    port = getattr(house, slot)
    return httpx.get(f"http://127.0.0.1:{port}/admin/mirror").json()["outcomes"]


def _now():
    """Return this millisecond: nginx writes down no less, so its first answer seems no earlier."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _traffic(house, since, answered):
    """Return the traffic once nginx has written so many answers down."""
    until = time.monotonic() + 10
    while True:
        found = house.router.traffic(PRODUCT, since)
        if sum(sum(each.versions.values()) for each in found.values()) >= answered:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.2)


@pytest.mark.parametrize("percent", SHARES)
def test_a_canary_gets_its_share_and_no_more(house, percent):
    house.router.canary(PRODUCT, percent)
    slots, statuses = _ask(house, ASKED)
    most, least = _most(ASKED, percent), ASKED - _most(ASKED, 100 - percent)
    assert least <= slots["green"] <= most
    assert statuses == {200: ASKED}
    assert house.router.active(PRODUCT) == "blue"
    house.router.canary(PRODUCT, 0)
    assert _ask(house, 100)[0] == {"blue": 100}


def test_a_share_goes_to_the_idle_colour_whichever_that_is(house):
    house.router.switch(PRODUCT, "green")
    house.router.canary(PRODUCT, 25)
    slots, _ = _ask(house, ASKED)
    assert 0 < slots["blue"] <= _most(ASKED, 25)


def test_a_larger_step_takes_the_place_of_a_smaller_and_a_switch_ends_the_share(house):
    house.router.canary(PRODUCT, 50)
    house.router.canary(PRODUCT, 5)
    assert _ask(house, ASKED)[0]["green"] <= _most(ASKED, 5)
    house.router.switch(PRODUCT, "green")
    assert _ask(house, 100)[0] == {"green": 100}
    house.router.switch(PRODUCT, "blue")
    assert _ask(house, 100)[0] == {"blue": 100}


def test_a_share_that_is_no_declared_step_is_refused(house):
    for percent in (1, 51, 100, -5):
        with pytest.raises(StackError, match="5, 25, 50"):
            house.router.canary(PRODUCT, percent)
    assert _ask(house, 50)[0] == {"blue": 50}


def test_a_share_that_nginx_does_not_see_is_undone(house):
    house.kill("nginx", signal.SIGQUIT)
    with pytest.raises(StackError, match="undone"):
        house.router.canary(PRODUCT, 50)
    house.nginx()
    assert _ask(house, 50)[0] == {"blue": 50}


def test_only_the_products_own_path_sees_a_canary(house):
    house.router.canary(PRODUCT, 50)
    for path in ("/", "/ready", "/health", "/health/daily_risk"):
        assert {house.ask(path, "GET", None)[1]["X-Riskcast-Slot"] for _ in range(30)} == {"blue"}


@pytest.mark.parametrize("kind", ["500", "502", "503"])
def test_no_client_pays_for_a_failing_canary_and_the_canary_does(house, kind):
    house.kill("green")
    house.slot("green", kind)
    since = _now()
    house.router.canary(PRODUCT, 25)
    slots, statuses = _ask(house, ASKED)
    assert (slots, statuses) == ({"blue": ASKED}, {200: ASKED})
    found = _traffic(house, since, ASKED)
    assert 0 < found["green"].errors == found["green"].requests <= _most(ASKED, 25)
    assert found["blue"].errors == 0
    assert found["blue"].requests == ASKED
    assert found["blue"].versions == {"blue": ASKED}


def test_a_dead_canary_costs_no_client_an_answer_and_is_counted(house):
    since = _now()
    house.router.canary(PRODUCT, 25)
    house.kill("green")
    _, statuses = _ask(house, ASKED)
    assert statuses == {200: ASKED}
    green = _traffic(house, since, ASKED)["green"]
    assert 0 < green.errors == green.requests <= _most(ASKED, 25)


@pytest.mark.slow
def test_traffic_tells_a_slow_canary_from_the_other_colour(house):
    house.kill("green")
    house.slot("green", "slow")
    house.router.canary(PRODUCT, 50)
    since = _now()
    slots, _ = _ask(house, 12)
    found = _traffic(house, since, 12)
    assert found["green"].p95_seconds > 1.4 or not slots["green"]
    assert found["blue"].p95_seconds < 0.5
    assert {slot: each.requests for slot, each in found.items()} == {
        slot: slots[slot] for slot in ("blue", "green")
    }


def test_traffic_counts_from_the_instant_asked_and_only_the_products_requests(house):
    _ask(house, 20)
    time.sleep(0.05)
    since = _now()
    assert house.router.traffic(PRODUCT, since) == {"blue": Traffic(), "green": Traffic()}
    for path in ("/", "/ready", "/health/daily_risk"):
        house.ask(path, "GET", None)
    _ask(house, 30)
    found = _traffic(house, since, 30)
    assert (found["blue"].requests, found["green"].requests) == (30, 0)


def test_copies_go_to_the_idle_colour_only_while_the_mirror_is_on(house):
    _ask(house, 20)
    assert _copied(house) == []
    house.router.mirror(PRODUCT, True)
    since = _now()
    for number in range(20):
        house.ask(headers={"X-Request-Id": f"request-{number:04}"})
    assert {each["request_id"] for each in _copied(house)} == {f"request-{n:04}" for n in range(20)}
    assert _copied(house, "blue") == []
    found = _traffic(house, since, 20)
    assert (found["blue"].requests, found["green"].requests) == (20, 0)
    house.router.mirror(PRODUCT, False)
    _ask(house, 20)
    assert len(_copied(house)) == 20


def test_a_request_the_idle_colour_answers_itself_is_not_copied_to_it(house):
    house.router.mirror(PRODUCT, True)
    house.router.canary(PRODUCT, 50)
    slots, _ = _ask(house, 200)
    assert len(_copied(house)) == slots["blue"]


def test_a_dead_sink_costs_no_client_an_answer(house):
    house.router.mirror(PRODUCT, True)
    house.kill("green")
    with Load(house.port) as load:
        time.sleep(0.5)
    assert load.lost == []
    assert load.seen["blue"] > 50


def test_a_slot_that_crashes_again_and_again_gets_no_traffic(house):
    house.kill("green")
    house.slot("green", "crash")
    since = _now()
    with Load(house.port) as load:
        for _ in range(3):
            with pytest.raises(StackError, match="steadily"):
                house.router.switch(PRODUCT, "green")
    assert load.lost == []
    assert load.seen == {"blue": load.seen["blue"]}
    assert _traffic(house, since, load.seen["blue"])["green"].requests == 0


def test_what_nginx_does_is_told_under_health_alone(house):
    house.router.canary(PRODUCT, 5)
    house.router.mirror(PRODUCT, True)
    assert house.ask(f"/health/{PRODUCT}", "GET", None)[1]["X-Riskcast-Route"] == (
        "blue canary=5 mirror=on"
    )
    assert "X-Riskcast-Route" not in house.ask()[1]


def test_the_sink_is_closed_to_the_world(house):
    for path in ("/admin/mirror", "/_copy"):
        assert house.ask(path)[0] == 404
