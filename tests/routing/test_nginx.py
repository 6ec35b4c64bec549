"""The real nginx of the wheel in front of two stand-in slots."""

import json
import signal
import time
from dataclasses import replace

import pytest
from routing_house import PRODUCT, Load

from riskcast.core.errors import StackError
from riskcast.routing.nginx import NginxRouter, Site, render

pytestmark = pytest.mark.stack


def test_traffic_goes_to_blue_until_it_is_switched(house):
    assert (house.router.active(PRODUCT), house.served_by()) == ("blue", "blue")
    house.router.switch(PRODUCT, "green")
    assert (house.router.active(PRODUCT), house.served_by()) == ("green", "green")
    house.router.switch(PRODUCT, "green")
    house.router.switch(PRODUCT, "blue")
    assert (house.router.active(PRODUCT), house.served_by()) == ("blue", "blue")


def test_the_active_colour_survives_a_killed_nginx(house):
    house.router.switch(PRODUCT, "green")
    house.kill("nginx", signal.SIGQUIT)
    house.nginx()
    assert house.served_by() == "green"


def test_a_switch_to_a_dead_slot_fails_and_traffic_goes_where_it_went(house):
    house.kill("green")
    with pytest.raises(StackError, match="green running"):
        house.router.switch(PRODUCT, "green")
    assert house.router.active(PRODUCT) == "blue"
    assert house.ask()[0] == 200


def test_a_switch_that_nginx_does_not_see_fails(house):
    site = replace(house.site, active=house.folder / "other")
    elsewhere = NginxRouter(site, house.url, patience=0.3, steady=0.1)
    with pytest.raises(StackError, match="answered by blue"):
        elsewhere.switch(PRODUCT, "green")
    assert elsewhere.active(PRODUCT) == "blue"


def test_unknown_products_and_slots_are_refused(house):
    with pytest.raises(StackError, match="no slot 'purple'"):
        house.router.switch(PRODUCT, "purple")
    with pytest.raises(StackError, match="no product"):
        house.router.active("../../etc/passwd")


@pytest.mark.parametrize("switches", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_no_request_is_lost_while_traffic_is_switched(house, switches):
    with Load(house.port) as one, Load(house.port, pause=0) as two:
        for number in range(switches):
            house.router.switch(PRODUCT, ("green", "blue")[number % 2])
            time.sleep(0.05)
    assert one.lost == two.lost == []
    assert min(one.seen["blue"], one.seen["green"]) > 20


def test_no_request_is_lost_when_the_active_slot_is_killed_and_comes_back(house):
    with Load(house.port) as paced, Load(house.port, pause=0) as closed:
        time.sleep(0.3)
        house.kill("blue")
        time.sleep(0.3)
        house.slot("blue")
        time.sleep(0.5)
        assert house.served_by() == "blue"
    assert paced.lost == closed.lost == []
    assert paced.seen["green"] > 0


def test_a_slot_without_a_model_yet_is_helped_out_by_the_other(house):
    house.kill("blue")
    house.slot("blue", "503")
    status, headers, _ = house.ask()
    assert (status, headers["X-Riskcast-Slot"]) == (200, "green")


def test_a_503_of_both_slots_reaches_the_client_as_it_is(house):
    for name in ("blue", "green"):
        house.kill(name)
        house.slot(name, "503")
    for _ in range(5):
        status, headers, _ = house.ask()
        assert (status, "X-Riskcast-Slot" in headers) == (503, True)


def test_without_any_slot_the_answer_is_a_named_503(house):
    for name in ("blue", "green"):
        house.kill(name)
    status, _, body = house.ask()
    assert (status, json.loads(body)["error"]["code"]) == (503, "no-server")


@pytest.mark.parametrize(
    "path", ["/metrics", "/admin", "/admin/x", "/debug", "/health/other", "/predict/x", "/.git"]
)
def test_what_is_not_public_is_not_routed(house, path):
    status, headers, body = house.ask(path, "GET", None)
    assert (status, json.loads(body)["error"]["code"]) == (404, "not-found")
    assert "X-Riskcast-Slot" not in headers


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/docs", "/openapi.json", "/predict"])
def test_the_public_api_is_routed_with_slot_model_and_safe_headers(house, path):
    status, headers, body = house.ask(path)
    assert (status, json.loads(body)["path"]) == (200, path)
    assert headers["X-Riskcast-Slot"] == "blue"
    assert headers["X-Riskcast-Model"] == "daily_risk/blue"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"


def test_a_body_above_the_limit_is_refused_by_name(house):
    assert house.ask(body=b"x" * 65_536)[0] == 200
    status, _, body = house.ask(body=b"x" * 65_537)
    assert (status, json.loads(body)["error"]["code"]) == (413, "body-too-large")


def test_a_request_has_one_id_the_callers_where_given(house):
    assert house.ask(headers={"X-Request-Id": "caller-0001"})[1]["X-Request-Id"] == "caller-0001"
    assert len(house.ask()[1]["X-Request-Id"]) == 32


def test_the_access_log_says_who_answered_and_never_the_key(house):
    house.ask(headers={"X-API-Key": "top-secret-key", "Authorization": "Bearer top-secret-key"})
    until = time.monotonic() + 5
    while not (text := house.access_log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.1)
    entry = json.loads(text.splitlines()[-1])
    assert (entry["slot"], entry["model"], entry["status"]) == ("blue", "daily_risk/blue", 200)
    assert (entry["product"], entry["sent_to"]) == (PRODUCT, "blue")
    assert "top-secret-key" not in text


def test_a_template_with_an_unknown_name_is_refused(house):
    site = Site("a:1", "b:1", "c:1", house.folder, house.access_log, "", {"/predict": PRODUCT})
    with pytest.raises(StackError, match="@COLOUR@"):
        render("listen @COLOUR@;", site)
