"""Start and stop the stack: in order of health, and without leaving anything behind."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from riskcast.core.clock import seconds
from riskcast.core.errors import PortTaken, StackError
from riskcast.core.settings import PREFIX, Settings
from riskcast.standalone import launch
from riskcast.standalone.configure import configure
from riskcast.standalone.health import Ended, fault
from riskcast.standalone.layout import Layout
from riskcast.standalone.leftovers import end_leftovers
from riskcast.standalone.processes import Process, declare, unneeded
from riskcast.standalone.secrets import write_private
from riskcast.standalone.supervisor import RECORD, State, Supervisor, render

Progress = Callable[[str, str, float], None]
POLL_SECONDS = 0.2


def silent(_name: str, _state: str, _seconds: float) -> None:
    """Report progress to nobody."""


def running(settings: Settings) -> bool:
    """Whether the stack of this home is up, or on its way."""
    layout = Layout.of(settings)
    return layout.run.exists() and Supervisor(layout).alive()


def up(
    settings: Settings,
    progress: Progress = silent,
    processes: Sequence[Process] | None = None,
) -> None:
    """Start what does not run yet, each process once those it needs are healthy.

    On a stack that runs healthy this changes nothing.

    Parameters
    ----------
    progress : callable (name, state, seconds), optional
        Told "starting" and "healthy" of each process, with the seconds since it was started, and
        of any permission that had to be changed.
    processes : sequence of Process, optional
        What to run instead of the whole stack; then nothing is prepared for it.

    Raises
    ------
    PortTaken
        If another program holds a port; nothing has been started then.
    StackError
        If a process does not become healthy, with the end of its log; what had started keeps
        running. Or if the stack runs under other settings, or its home was restored by half.
    """
    layout = Layout.of(settings)
    if processes is None and layout.restoring.exists():
        raise StackError(
            f"a restore into {layout.home} has not ended; run it again, or remove the home"
        )
    with layout.lock():
        layout.make()
        supervisor = Supervisor(layout)
        wanted = tuple(declare(settings, layout) if processes is None else processes)
        config = render(layout, wanted)
        if supervisor.alive():
            if supervisor.config.read_text() != config:
                raise StackError(
                    f"the stack in {layout.home} runs under other settings; "
                    "`riskcast down` first, then up"
                )
        else:
            end_leftovers(layout, wanted)
            check_ports(settings, wanted)
            if processes is None:
                configure(settings, layout, lambda what: progress("permissions", what, 0.0))
            write_private(supervisor.config, config)
            supervisor.start()
        _start(supervisor, layout, wanted, progress)


def down(settings: Settings, progress: Progress = silent) -> None:
    """Stop everything, dependants first; afterwards no process of the stack is left.

    Safe at any time: half-started, after the supervisor was killed, or when nothing runs.

    Raises
    ------
    StackError
        If a process outlives SIGKILL.
    """
    layout = Layout.of(settings)
    if not layout.run.exists():
        return
    with layout.lock():
        supervisor = Supervisor(layout)
        wanted = declare(settings, layout)
        if supervisor.alive():
            _stop(supervisor, wanted, progress)
            supervisor.shutdown()
            _await_end(layout)
        end_leftovers(layout, wanted)
        layout.remove_sockets()


def check_ports(settings: Settings, processes: Sequence[Process]) -> None:
    """Raise PortTaken if two processes share a port or someone else has it."""
    owners: dict[str, Process] = {}
    for process in (p for p in processes if p.port):
        number, name = getattr(settings, process.port), PREFIX + process.port.upper()
        if number in owners:
            raise PortTaken(
                f"port {number} is meant for both {owners[number].name} and {process.name}; "
                f"set {name} to a free one"
            )
        owners[number] = process
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((process.host, int(number)))
            except OSError as error:
                raise PortTaken(
                    f"port {number} of {process.name} cannot be had on {process.host} "
                    f"({error.strerror}); set {name} to a free one"
                ) from error


def _start(
    supervisor: Supervisor, layout: Layout, wanted: Sequence[Process], progress: Progress
) -> None:
    """Start each process when its needs are met, until all are healthy."""
    begun: dict[str, float] = {}
    healthy: set[str] = set()
    while len(healthy) < len(wanted):
        states = supervisor.states()
        for process in wanted:
            name = process.name
            if name in healthy or not healthy.issuperset(process.needs):
                continue
            done = process.once and states[name].state == "EXITED" and not states[name].exit_status
            if name not in begun:
                begun[name] = seconds()
                if not states[name].running and not done:
                    supervisor.start_process(name)
                    progress(name, "starting", 0.0)
                    continue
            took = seconds() - begun[name]
            why = _fault(process, states[name].state, states[name].exit_status)
            if not why:
                healthy.add(name)
                progress(name, "healthy", took)
            elif took > process.patience_seconds or _given_up(process, states[name]):
                raise StackError(_unhealthy(process, took, why, layout.logs))
        time.sleep(POLL_SECONDS)


def _fault(process: Process, state: str, exit_status: int) -> str:
    if isinstance(process.health, Ended):
        return "" if state == "EXITED" and not exit_status else f"{state} with {exit_status}"
    return fault(process.health) if state == "RUNNING" else f"the process is {state}"


def _given_up(process: Process, found: State) -> bool:
    """Whether waiting cannot help: the supervisor starts it no more."""
    return found.state == "FATAL" or (process.once and found.state == "EXITED")


def _unhealthy(process: Process, took: float, why: str, logs: Path) -> str:
    log = logs / f"{process.name}.log"
    last = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
    said = "\n  ".join(("", *last))
    return f"{process.name} is not healthy after {took:.0f} s: {why}; its log {log} ends:{said}"


def _stop(supervisor: Supervisor, wanted: Sequence[Process], progress: Progress) -> None:
    """Stop each process when nothing that needs it runs any more."""
    begun = seconds()
    asked: set[str] = set()
    while running := {name for name, state in supervisor.states().items() if state.running}:
        for name in asked - running:
            progress(name, "stopped", seconds() - begun)
        asked &= running
        for name in unneeded(running, wanted) - asked:
            supervisor.stop_process(name)
            asked.add(name)
        time.sleep(POLL_SECONDS)
    for name in asked:
        progress(name, "stopped", seconds() - begun)


def _await_end(layout: Layout) -> None:
    until = seconds() + 10
    while launch.members(layout.records / RECORD) and seconds() < until:
        time.sleep(0.05)
