"""Rollouts on real servers: what serves moves in steps, under load, and comes back."""

import time

import pytest
from tests.rollout.rollout_house import PRODUCT, House, Load, until
from tests.standalone.ports import PORT_SETTINGS

from riskcast.core.errors import RolloutAborted, RolloutRefused
from riskcast.rollout import Phase

pytestmark = pytest.mark.stack


def test_a_version_is_rolled_out_under_load_without_a_lost_request(house):
    second = house.register(0.1)
    with Load(house) as load:
        ended = house.deploy(second)
    assert (ended.phase, ended.settled) == (Phase.DONE, True)
    assert load.lost == []
    assert set(load.seen) == {f"{PRODUCT}/1", f"{PRODUCT}/2"}
    assert house.served() == f"{PRODUCT}/2"
    aliases, stages = house.roles()
    assert aliases == {"blue": "1", "green": "2", "champion": "2", "previous": "1"}
    assert stages == {"Production": ["2"], "Staging": [], "Archived": ["1"]}
    ledger = house.machine.journal.ledger()
    assert ledger["action"].to_list() == ["promote", "canary", "canary", "flip", "promote"]
    assert set(ledger["who"]) == {"test"}

    began = time.monotonic()
    with Load(house) as load:
        rollback = house.machine.rollback(who="test", why="back")
        house.machine.carry_out(rollback, lambda _: None)
    assert time.monotonic() - began < 30
    assert load.lost == []
    assert house.served() == f"{PRODUCT}/1"
    assert house.roles()[0]["champion"] == "1"
    assert house.roles()[1]["Production"] == ["1"]
    with pytest.raises(RolloutRefused, match="no earlier champion"):
        house.machine.rollback(who="test", why="again")


BAD = ("500", "slow", "nan", "schema")


@pytest.mark.parametrize(
    "kind", [BAD[0], *(pytest.param(k, marks=pytest.mark.slow) for k in BAD[1:])]
)
@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_server_that_turns_bad_with_all_traffic_is_taken_back_within_a_minute(house, kind, times):
    for number in range(times):
        second = house.register(0.1 + number / 100)
        slot = {"blue": "green", "green": "blue"}[active(house)]
        began = []

        def turn_bad(state, slot=slot, began=began, version=second):
            if state.phase == Phase.BAKE and not began:
                house.break_slot(slot, kind, version)
                began.append(time.monotonic())

        asked = house.machine.ask(second, who="test", why="planted")
        with pytest.raises(RolloutAborted):
            house.machine.carry_out(asked, turn_bad)
        assert time.monotonic() - began[0] < 60
        assert house.served() == f"{PRODUCT}/1"
        aliases, stages = house.roles()
        assert (aliases["champion"], aliases[slot]) == ("1", "1")
        assert stages["Production"] == ["1"]
        house.kill(slot)
        house.start(slot)


@pytest.mark.parametrize(
    "kind", ["nan", *(pytest.param(k, marks=pytest.mark.slow) for k in BAD if k != "nan")]
)
def test_a_server_that_is_bad_from_the_start_gets_no_request(house, kind):
    second = house.register(0.1)
    house.break_slot("green", kind, second)
    with Load(house) as load, pytest.raises(RolloutAborted, match="golden request 1"):
        house.deploy(second)
    assert load.lost == []
    assert set(load.seen) == {f"{PRODUCT}/1"}
    abort = house.machine.journal.ledger().row(-1, named=True)
    assert (abort["action"], abort["model_version"], abort["previous"]) == ("abort", "1", second)


def test_a_version_without_golden_requests_is_not_promoted(house):
    second = house.register(0.1, golden=False)
    with pytest.raises(RolloutAborted, match="records no golden requests"):
        house.deploy(second)
    assert house.roles()[0]["champion"] == "1"


def test_a_version_that_forecasts_something_else_altogether_is_not_promoted(house):
    second = house.register(3.0)  # of ln h, so 1.5 of ln rv
    with pytest.raises(RolloutAborted, match="ln rv differs by"):
        house.deploy(second)
    until(lambda: house.served() == f"{PRODUCT}/1")


def active(house):
    return house.ask().headers["X-Riskcast-Slot"]


def test_a_deployment_beside_another_installation_on_its_ports_moves_nothing_there(
    house, empty_database, tmp_path
):
    folder = tmp_path / "other"
    folder.mkdir()
    ports = {name: getattr(house.settings, name) for name in PORT_SETTINGS}
    other = House(folder, empty_database, **ports)
    other.first()
    assert other.deploy(other.register(0.1)).step <= 1  # champion at once: nothing to shift
    assert other.roles()[0]["champion"] == "2"
    assert house.served() == f"{PRODUCT}/1"
    assert house.roles()[0]["champion"] == "1"
    assert house.machine.journal.ledger()["action"].to_list() == ["promote"]
