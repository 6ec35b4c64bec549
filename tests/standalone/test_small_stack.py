"""Order, restart, stop and leftovers, on a stack of small programs."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from tests.standalone.ports import port_settings

from riskcast.core.errors import PortTaken, StackError
from riskcast.core.settings import Settings
from riskcast.standalone import down, launch, tail_logs, up
from riskcast.standalone.health import Ended, Http
from riskcast.standalone.layout import Layout
from riskcast.standalone.leftovers import remains
from riskcast.standalone.processes import Process
from riskcast.standalone.supervisor import RECORD, Supervisor

pytestmark = pytest.mark.stack
STAND_IN = str(Path(__file__).with_name("slot_stand_in.py"))
# A child in a session and group of its own, as an Airflow task is.
TASK = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); "


@pytest.fixture
def settings(tmp_path):
    found = Settings(home=str(tmp_path / "home"), **port_settings())
    yield found
    down(found)
    assert remains(Layout.of(found)) == []


def small(settings):
    def server(name, *needs):
        port = getattr(settings, f"{name}_port")
        return Process(
            name,
            (sys.executable, STAND_IN, port, name),
            Http(f"http://127.0.0.1:{port}/health"),
            needs=needs,
            port=f"{name}_port",
            patience_seconds=20,
        )

    return (
        server("green", "blue", "prepare"),
        Process("prepare", (sys.executable, "-c", TASK), Ended(), needs=("blue",)),
        server("blue"),
    )


def pids(settings):
    return {n: s.pid for n, s in Supervisor(Layout.of(settings)).states().items()}


def test_processes_start_when_what_they_need_is_healthy_and_stop_the_other_way(settings):
    told = []
    up(settings, lambda name, state, _seconds: told.append((name, state)), small(settings))
    assert told == [
        (name, state) for name in ("blue", "prepare", "green") for state in ("starting", "healthy")
    ]
    stopped = []
    down(settings, lambda name, state, _seconds: stopped.append((name, state)))
    assert set(stopped) == {("green", "stopped"), ("blue", "stopped")}


def test_a_second_up_changes_nothing(settings):
    up(settings, processes=small(settings))
    before, told = pids(settings), []
    config = Supervisor(Layout.of(settings)).config
    written = config.stat().st_mtime_ns
    up(settings, lambda name, state, _seconds: told.append((name, state)), small(settings))
    assert pids(settings) == before
    assert config.stat().st_mtime_ns == written
    assert ("blue", "starting") not in told


def test_up_starts_again_what_was_stopped(settings):
    up(settings, processes=small(settings))
    supervisor = Supervisor(Layout.of(settings))
    supervisor.stop_process("green")
    while supervisor.states()["green"].running:
        time.sleep(0.1)
    up(settings, processes=small(settings))
    assert supervisor.states()["green"].state == "RUNNING"


def test_a_stack_under_other_settings_is_not_taken_for_this_one(settings):
    up(settings, processes=small(settings))
    with pytest.raises(StackError, match="other settings"):
        up(settings, processes=small(settings)[1:])


def test_down_ends_even_a_grandchild_that_left_its_session(settings):
    up(settings, processes=small(settings))
    sleeping = [p for p in remains(Layout.of(settings)) if comm(p.pid) == "sleep"]
    assert sleeping
    down(settings)
    assert all(launch.seen(p.pid) is None for p in sleeping)


def test_after_a_killed_supervisor_up_ends_the_former_run_and_starts_anew(settings):
    layout = Layout.of(settings)
    up(settings, processes=small(settings))
    before = remains(layout)
    os.kill(launch.recorded(layout.records / RECORD).pid, signal.SIGKILL)
    up(settings, processes=small(settings))
    assert all(launch.seen(p.pid) != p for p in before)
    assert pids(settings)["blue"] in {p.pid for p in remains(layout)}


def test_after_a_killed_supervisor_down_leaves_nothing(settings):
    layout = Layout.of(settings)
    up(settings, processes=small(settings))
    os.kill(launch.recorded(layout.records / RECORD).pid, signal.SIGKILL)
    assert remains(layout)
    down(settings)
    assert remains(layout) == []


def test_down_of_a_stack_that_never_ran_does_nothing(settings):
    down(settings)
    assert not Path(settings.home).exists()


def test_down_does_not_end_the_process_that_asks_for_it(settings):
    mine = Layout.of(settings)
    # As in a task of Airflow: we carry the mark of the supervisor ourselves.
    os.environ["SUPERVISOR_SERVER_URL"] = Supervisor(mine).url
    try:
        assert os.getpid() not in {p.pid for p in remains(mine)}
    finally:
        del os.environ["SUPERVISOR_SERVER_URL"]


def test_a_killed_process_is_back_and_its_former_group_is_gone(settings):
    up(settings, processes=small(settings))
    old = pids(settings)["blue"]
    os.kill(old, signal.SIGKILL)
    until = time.monotonic() + 10
    while pids(settings)["blue"] in (0, old):
        assert time.monotonic() < until
        time.sleep(0.1)
    up(settings, processes=small(settings))


def test_a_process_that_never_becomes_healthy_is_named_with_the_end_of_its_log(settings):
    failing = Process(
        "prepare", (sys.executable, "-c", "raise SystemExit('no such table')"), Ended()
    )
    with pytest.raises(StackError, match=r"prepare is not healthy(.|\n)*no such table"):
        up(settings, processes=(failing,))


def test_a_taken_port_is_named_with_the_setting_that_changes_it(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(settings.green_port)))
        taken.listen()
        with pytest.raises(PortTaken, match=rf"{settings.green_port} of green.*GREEN_PORT"):
            up(settings, processes=small(settings))
    assert remains(Layout.of(settings)) == []


def test_two_processes_on_one_port_are_refused(settings):
    twice = Settings(home=settings.home, blue_port="18999", green_port="18999")
    with pytest.raises(PortTaken, match="RISKCAST_BLUE_PORT"):
        up(twice, processes=small(twice))


def test_a_deep_home_has_its_sockets_elsewhere_and_removes_them(tmp_path):
    home = tmp_path / ("deep-" * 20) / "home"
    deep = Settings(home=str(home), **port_settings())
    layout = Layout.of(deep)
    try:
        up(deep, processes=small(deep)[2:])
        sockets = layout.sockets
        assert home not in sockets.parents
        assert (sockets / "supervisor").is_socket()
    finally:
        down(deep)
    assert not sockets.exists()


def test_a_home_that_configuration_files_cannot_carry_is_refused(tmp_path):
    with pytest.raises(StackError, match="RISKCAST_HOME"):
        up(Settings(home=str(tmp_path / "a home; with {signs}")))


def test_the_callers_settings_do_not_leak_into_processes(settings, monkeypatch):
    monkeypatch.setenv("RISKCAST_SLOT", "purple")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "Other")
    show = "import os; print(sorted(k for k in os.environ if k.startswith(('RISKCAST', 'AIRFL'))))"
    up(settings, processes=(Process("prepare", (sys.executable, "-c", show), Ended()),))
    assert tail_logs(settings, "prepare", 1) == "[]"


def test_asking_for_an_unknown_log_names_those_there_are(settings):
    up(settings, processes=small(settings)[2:])
    with pytest.raises(StackError, match="blue"):
        tail_logs(settings, "purple")


def comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()
