"""The champion moves to the other colour, whose server may be another image, and back."""

from datetime import datetime, timedelta

import pytest
from tests.rollout.rollout_house import PRODUCT, Load, until
from typer.testing import CliRunner

from riskcast.cli import app
from riskcast.core.clock import wall
from riskcast.core.errors import RolloutAborted, RolloutRefused
from riskcast.rollout import Machine, Phase
from riskcast.rollout.slots import HttpSlots
from riskcast.rollout.state import MOVE, Policy, Rollout, wanted
from riskcast.rollout.world import World
from riskcast.routing import Traffic


def carried(house):
    moved = house.machine.move(who="ci", why="image 0123abc")
    return house.machine.carry_out(moved, lambda _: None)


@pytest.mark.stack
def test_the_champion_moves_there_and_back_under_load_without_a_lost_request(house):
    with Load(house) as load:
        there, back = carried(house), carried(house)
    assert [(r.slot, r.phase) for r in (there, back)] == [("green", "done"), ("blue", "done")]
    assert load.lost == []
    assert set(load.seen) == {f"{PRODUCT}/1"}
    aliases, stages = house.roles()
    assert aliases == {"blue": "1", "green": "1", "champion": "1"}
    assert stages["Production"] == ["1"]
    ledger = house.machine.journal.ledger()
    assert ledger["action"].to_list()[-4:] == ["canary", "canary", "flip", "move"]
    house.look()  # the daemon sees nothing that anybody asked for
    assert house.machine.journal.rollouts()[-1] == back


@pytest.mark.stack
def test_a_server_that_answers_wrongly_is_not_moved_to(house):
    house.break_slot("green", "schema", "1")
    with Load(house) as load, pytest.raises(RolloutAborted, match="golden request 1"):
        carried(house)
    assert load.lost == []
    until(lambda: house.ask().headers["X-Riskcast-Slot"] == "blue")


def test_what_is_not_served_cannot_be_moved(bare):
    with pytest.raises(RolloutRefused, match="not served"):
        bare.machine.move(who="ci", why="planted")
    bare.first()
    with pytest.raises(RolloutRefused, match="not served"):
        bare.machine.move(who="ci", why="planted")


class NoCopies:
    """A router that cannot copy requests, as a load balancer of AWS."""

    copies = False

    def __init__(self):
        self.at, self.shares = "blue", []

    def active(self, _product):
        return self.at

    def switch(self, _product, slot):
        self.at = slot

    def canary(self, _product, percent):
        self.shares.append(percent)

    def mirror(self, _product, on):
        raise AssertionError(f"asked to copy requests: {on}")

    def traffic(self, _product, _since: datetime):
        return {"blue": Traffic(), "green": Traffic()}


@pytest.mark.stack
def test_where_no_request_can_be_copied_probes_of_both_colours_are_enough(house):
    router, machine = NoCopies(), house.machine
    policy = Policy(shares=(25, 50), step=timedelta(seconds=0.5), bake=timedelta(seconds=1))
    slots = HttpSlots(house.settings)
    world = World(machine.journal, house.registry, router, slots, policy, "none")
    lock = house.settings.home_path / "rollout" / "daily_risk.lock"
    machine = Machine(machine.journal, house.registry, world, lock, policy)
    phases = []
    ended = machine.carry_out(
        machine.ask(house.register(0.1), who="test", why="planted"),
        lambda rollout: phases.append(rollout.phase),
    )
    assert ended.phase == Phase.DONE and "mirror" in phases
    assert (router.at, router.shares) == ("green", [25, 50])


def test_a_move_makes_nobody_challenger():
    now = wall()
    moving = Rollout(PRODUCT, 2, "1", "1", "green", now, now, "ci", "", MOVE, Phase.CANARY, 5)
    target = wanted(moving)
    assert (target.champion, target.challenger) == ("1", None)
    assert target.colours == {"blue": "1", "green": "1"}


def test_whoever_watches_has_the_keys_to_ask_the_servers(bare, monkeypatch):
    bare.first()
    for path in bare.settings.keys_path.glob("*.key"):
        path.unlink()
    for name, value in bare.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RISKCAST_MLFLOW", bare.settings.mlflow_uri)
    done = CliRunner().invoke(app, ["rollout", "watch", "--once"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = {
        path.name: path.stat().st_mode & 0o777 for path in bare.settings.keys_path.glob("*.key")
    }
    assert made["api.key"] == made["admin.key"] == 0o600


def test_keys_that_are_there_are_left_alone_as_in_a_container_they_must_be(bare, monkeypatch):
    bare.first()
    folder = bare.settings.keys_path
    for name in ("api.key", "admin.key"):
        (folder / name).write_text(name)
    folder.chmod(0o755)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, value in bare.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RISKCAST_MLFLOW", bare.settings.mlflow_uri)
    done = CliRunner().invoke(app, ["rollout", "watch", "--once"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o755
