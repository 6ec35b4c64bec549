"""Find and end what runs of an installation without its supervisor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from riskcast.core.errors import StackError
from riskcast.standalone import launch
from riskcast.standalone.layout import Layout
from riskcast.standalone.supervisor import Supervisor


def end_leftovers(layout: Layout, *, grace: float) -> None:
    """Ask every process of this installation to end, kill those that have not after `grace` s.

    Raises
    ------
    StackError
        If one outlives SIGKILL.
    """
    launch.end(remains(layout), grace=grace)
    if left := remains(layout):
        raise StackError(f"processes {sorted(p.pid for p in left)} outlived SIGKILL; end them")


def remains(layout: Layout) -> list[launch.Seen]:
    """Return every process of this installation: recorded groups, marked ones, descendants.

    A task of Airflow runs in a group of its own, but inherits the supervisor's address.
    """
    mark = f"SUPERVISOR_SERVER_URL={Supervisor(layout).url}".encode()
    records = layout.records.iterdir() if layout.records.exists() else ()
    ours = {member.pid: member for record in records for member in launch.members(record)}
    every = launch.everything()
    ours |= {process.pid: process for process in every if mark in _environment(process.pid)}
    while new := {p.pid: p for p in every if p.parent in ours and p.pid not in ours}:
        ours |= new
    spared = _ancestry(every)
    return [process for pid, process in ours.items() if pid not in spared]


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
