"""Find and end what runs of an installation without its supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.standalone import launch
from riskcast.standalone.layout import Layout
from riskcast.standalone.processes import Process, unneeded
from riskcast.standalone.supervisor import Supervisor

STOP_SECONDS = 10  # for what no declaration names: a task, the supervisor itself
LONGEST_SECONDS = 90.0
KILLED_SECONDS = 30.0  # a busy disk holds a killed process back


def end_leftovers(layout: Layout, processes: Sequence[Process]) -> None:
    """Ask each server of this installation to end, dependants first; then kill what is left.

    Only servers are asked, not their children: they know best how to end those. One that has not
    ended in its time is killed, so that those it needs can still end in good order.

    Raises
    ------
    StackError
        If a process outlives SIGKILL.
    """
    found = remains(layout)
    pids = {process.pid for process in found}
    names = {leader.pid: path.name for path, leader in _leaders(layout)}
    declared = {process.name: process for process in processes}
    left = [process for process in found if process.parent not in pids]
    deadlines: dict[launch.Seen, float] = {}
    until = seconds() + LONGEST_SECONDS
    while left and seconds() < until:
        ready = unneeded({names.get(process.pid, "") for process in left}, processes)
        for process in left:
            name = names.get(process.pid, "")
            if process in deadlines and seconds() > deadlines[process]:
                launch.send(process, signal.SIGKILL)
            elif process not in deadlines and name in ready:
                known = declared.get(name)
                deadlines[process] = seconds() + (known.stop_seconds if known else STOP_SECONDS)
                launch.send(process, _asking(known))
        left = launch.running(left, 0.1)
    # Again and again: one that was starting another has left a child that was not seen yet.
    until = seconds() + KILLED_SECONDS
    while (survivors := remains(layout)) and seconds() < until:
        launch.end(survivors, grace=0)
    if survivors:
        raise StackError(f"processes {sorted(p.pid for p in survivors)} outlived SIGKILL; end them")


def remains(layout: Layout) -> list[launch.Seen]:
    """Return every process of this installation: recorded groups, marked ones, descendants.

    A task of Airflow runs in a group of its own, but inherits the supervisor's address.
    """
    mark = f"SUPERVISOR_SERVER_URL={Supervisor(layout).url}".encode()
    ours = {p.pid: p for record, _ in _leaders(layout) for p in launch.members(record)}
    every = launch.everything()
    ours |= {process.pid: process for process in every if mark in _environment(process.pid)}
    while new := {p.pid: p for p in every if p.parent in ours and p.pid not in ours}:
        ours |= new
    spared = _ancestry(every)
    return [process for pid, process in ours.items() if pid not in spared]


def _asking(process: Process | None) -> signal.Signals:
    return signal.Signals[f"SIG{process.stop_signal}"] if process else signal.SIGTERM


def _leaders(layout: Layout) -> list[tuple[Path, launch.Seen]]:
    records = layout.records.iterdir() if layout.records.exists() else ()
    return [(path, leader) for path in records if (leader := launch.recorded(path)) is not None]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []  # ended meanwhile, or another user's and so not ours


def _ancestry(every: Sequence[launch.Seen]) -> set[int]:
    """Return us and our ancestors: a `down` that a task runs must not end itself."""
    parents = {process.pid: process.parent for process in every}
    line, pid = set(), os.getpid()
    while pid:
        line.add(pid)
        pid = parents.get(pid, 0)
    return line
