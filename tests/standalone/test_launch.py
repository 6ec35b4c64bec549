"""A start ends what the former run of the same name left, and nobody else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from riskcast.standalone import launch
from riskcast.standalone.supervisor import launched

LEADER = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"


def wait_for(condition, seconds=10):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)
    return found


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "server"
    yield path
    launch.end(launch.members(path), grace=0)


def start(record, *command):
    return subprocess.Popen(
        launched(record, command), start_new_session=True, stdout=subprocess.DEVNULL
    )


def test_the_next_start_ends_children_that_a_killed_server_left(record):
    first = start(record, sys.executable, "-c", LEADER)
    before = wait_for(lambda: len(m := launch.members(record)) == 2 and m)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (orphan,) = launch.members(record)
    second = start(record, "sleep", "600")
    wait_for(lambda: launch.seen(orphan.pid) is None)
    now = wait_for(lambda: launch.members(record))
    assert [p.pid for p in now] == [second.pid]
    assert {p.pid for p in before}.isdisjoint({p.pid for p in now})
    launch.end(now, grace=0)
    second.wait()


def test_a_process_that_was_given_the_recorded_number_is_left_alone(record):
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        wait_for(lambda: launch.seen(stranger.pid))
        record.write_text(f"{boot} {stranger.pid} {launch.seen(stranger.pid).started - 1}\n")
        assert launch.members(record) == []
        record.write_text(f"another-boot {stranger.pid} 1\n")
        assert launch.members(record) == []
        # A signal meant for the process that had the number before does not reach this one.
        former = launch.seen(stranger.pid)._replace(started=1)
        launch.end([former], grace=0)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ignores_its_signal_is_killed(record, tmp_path):
    deaf = tmp_path / "deaf"
    stubborn = start(
        record,
        sys.executable,
        "-c",
        "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); "
        f"pathlib.Path({str(deaf)!r}).touch(); time.sleep(600)",
    )
    wait_for(deaf.exists)
    launch.end(launch.members(record), grace=0.3)
    assert stubborn.wait(5) == -signal.SIGKILL


def test_a_zombie_does_not_count_as_running():
    ended = subprocess.Popen(["true"])
    wait_for(lambda: launch.seen(ended.pid) is None)
    ended.wait()
