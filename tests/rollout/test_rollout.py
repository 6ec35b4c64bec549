"""Rollouts on real servers: what serves moves in steps, under load, and comes back."""

import time

import pytest
from tests.rollout.rollout_house import PRODUCT, Load, until

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
