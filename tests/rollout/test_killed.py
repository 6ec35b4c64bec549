"""kill -9 amid a rollout: one champion, loadable, and the rollout goes on to its end."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tests.rollout.rollout_house import PRODUCT, until

from riskcast.rollout import Phase

pytestmark = pytest.mark.stack
RESUME = (
    "import sys; sys.argv = ['riskcast', 'rollout', 'resume']\n"
    "from riskcast.cli import main; main()"
)


def resume(house):
    """A process of its own that carries on with whatever is under way."""
    environment = {
        **os.environ,
        **house.environment(),
        "RISKCAST_MLFLOW": house.settings.mlflow_uri,
    }
    return subprocess.Popen(
        (sys.executable, "-c", RESUME), env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_rollout_leaves_one_champion_and_is_resumed_to_its_end(house, kills):
    chance, versions = random.Random(7), ["1"]
    while kills:
        versions.append(house.register(0.01 * len(versions)))
        house.machine.ask(versions[-1], who="test", why="planted")
        while kills and house.machine.journal.under_way():
            carrying = resume(house)
            carrying.stderr.readline()  # it has begun: the first transition is told
            time.sleep(chance.uniform(0.0, 1.5))
            carrying.send_signal(signal.SIGKILL)
            carrying.communicate()
            kills -= 1
            aliases, stages = house.roles()
            assert aliases["champion"] in versions[-2:]
            assert len(stages["Production"]) <= 1
            house.registry.load(PRODUCT, "champion")
            assert house.ask().status_code == 200
        house.machine.follow()
        last = house.machine.journal.rollouts()[-1]
        assert (last.phase, last.settled, last.version) == (Phase.DONE, True, versions[-1])
        aliases, stages = house.roles()
        assert (aliases["champion"], stages["Production"]) == (versions[-1], [versions[-1]])
        until(lambda: house.served() == f"{PRODUCT}/{versions[-1]}")
    promoted = house.machine.journal.ledger().filter(action="promote")
    assert promoted["model_version"].to_list() == versions


def _cut(machine, monkeypatch, after):
    """Make the process of `machine` end after that many touches of the outside."""

    class Killed(BaseException):
        pass

    left = [after]
    for target, name in (
        (machine._world._registry, "set_alias"),
        (machine._world._registry, "delete_alias"),
        (machine._world._registry, "_set_stage"),
        (machine._world._registry, "tag"),
        (machine.journal, "write"),
        (machine.journal, "note"),
    ):
        real = getattr(target, name)

        def cut(*given, real=real, **named):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*given, **named)

        monkeypatch.setattr(target, name, cut)
    return Killed


def test_a_deployment_cut_after_any_touch_is_finished_by_the_next_look(bare, monkeypatch):
    first, cuts = bare.first(), 0
    champion = first
    while True:
        version = bare.register(0.01 * (cuts + 1))
        with monkeypatch.context() as patch:
            machine = bare.another_machine()
            killed = _cut(machine, patch, cuts)
            try:
                machine.carry_out(machine.ask(version, who="t", why="t"), lambda _: None)
                break
            except killed:
                pass
        begun = bare.machine.journal.under_way() is not None
        settled = bare.machine.journal.rollouts()[-1].version == version
        assert bare.roles()[0]["champion"] in (champion, version)
        bare.look()
        champion = version if begun or settled else champion
        aliases, stages = bare.roles()
        assert (aliases["champion"], stages["Production"]) == (champion, [champion])
        cuts += 1
    assert cuts > 5
    assert bare.machine.journal.under_way() is None
