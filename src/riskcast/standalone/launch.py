"""Start a program in place of this one, after ending what its former run left behind.

A server that dies by SIGKILL can leave children that hold its port. So each start records its
process group, and the next start of the same name ends what is left of that group first. Also
read by the rest of the room to find and end what a killed supervisor left.

Runs as a plain script with ``python -I -S``, so that a start costs milliseconds: standard library
only, nothing of Riskcast.

    launch.py RECORD [--user NAME] [--detach] -- COMMAND...
"""

from __future__ import annotations

import argparse
import os
import pwd
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    """A process as /proc shows it; `started` (clock ticks since boot) tells reused pids apart."""

    pid: int
    parent: int
    group: int
    started: int


def seen(pid: int) -> Seen | None:
    """Return the process, None if there is none or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name between the parentheses may itself hold spaces and parentheses.
    rest = text.rpartition(")")[2].split()
    return None if rest[0] in "ZX" else Seen(pid, int(rest[1]), int(rest[2]), int(rest[19]))


def everything() -> list[Seen]:
    """Return every process of the machine that can be seen."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [found for pid in pids if (found := seen(pid)) is not None]


def recorded(record: Path) -> Seen | None:
    """Return the leader that a record names, whether or not it still runs."""
    try:
        boot, pid, started = record.read_text().split()
    except (FileNotFoundError, ValueError):
        return None  # never started, or killed while writing it: nothing ran under it yet
    return Seen(int(pid), 0, int(pid), int(started)) if boot == _boot() else None


def members(record: Path) -> list[Seen]:
    """Return what still runs of the recorded process group."""
    leader = recorded(record)
    if leader is None:
        return []
    now = seen(leader.pid)
    if now is not None and now.started != leader.started:
        return []  # the number has been given to someone else, so no member of ours was left
    return [p for p in everything() if p.group == leader.group and p.started >= leader.started]


def end(processes: Iterable[Seen], *, grace: float) -> None:
    """Kill what has not ended by itself after `grace` seconds; with any grace, ask first."""
    left = [p for p in processes if p.pid != os.getpid()]
    if grace > 0:
        for process in left:
            send(process, signal.SIGTERM)
        left = running(left, grace)
    for process in left:
        send(process, signal.SIGKILL)
    running(left, 5.0)


def running(processes: Iterable[Seen], seconds: float) -> list[Seen]:
    """Wait until all have ended, `seconds` at most; return those that have not."""
    left, until = list(processes), time.monotonic() + seconds
    while (left := [p for p in left if _alive(p)]) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def send(process: Seen, number: int) -> None:
    """Signal a process; one that has ended, or whose number is another's now, is left alone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Checked while the handle pins the number: nobody else can be hit.
        if _alive(process):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass  # it ended by itself in between
    finally:
        os.close(handle)


def _alive(process: Seen) -> bool:
    now = seen(process.pid)
    return now is not None and now.started == process.started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _record(path: Path) -> None:
    me = seen(os.getpid())
    assert me is not None  # noqa: S101  we are running
    draft = path.with_suffix(".new")
    draft.write_text(f"{_boot()} {me.pid} {me.started}\n")
    draft.replace(path)


def _become(name: str) -> None:
    account = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ["HOME"], os.environ["USER"] = "/", name


def main(arguments: list[str]) -> None:
    """Replace this process by the command; see the module's docstring."""
    split = arguments.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("record", type=Path)
    parser.add_argument("--user")
    parser.add_argument("--detach", action="store_true")
    given = parser.parse_args(arguments[:split])
    command = arguments[split + 1 :]
    if given.detach:
        if os.fork():
            os._exit(0)
        os.setsid()
    end(members(given.record), grace=0)
    _record(given.record)
    if given.user:
        _become(given.user)
    os.execvp(command[0], command)  # noqa: S606  the command is the caller's own


if __name__ == "__main__":
    main(sys.argv[1:])
