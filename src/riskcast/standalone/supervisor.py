"""The supervisor: its configuration from the declarations, and what it is asked over its socket."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.standalone import launch
from riskcast.standalone.layout import Layout
from riskcast.standalone.processes import COMMON, Process

RECORD = "supervisord"
# Of the caller's environment these would change what a server does behind our back.
FOREIGN = ("RISKCAST_", "AIRFLOW_", "MLFLOW_", "PG", "SUPERVISOR_", "REDIS", "PYTHON")
RUNNING = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")


@dataclass(frozen=True, slots=True)
class State:
    """What the supervisor says of one process."""

    state: str
    pid: int
    exit_status: int
    uptime_seconds: float

    @property
    def running(self) -> bool:
        return self.state in RUNNING


class Supervisor:
    """The supervisor of one installation, asked over its unix socket."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._proxy: Any = None

    @property
    def url(self) -> str:
        """Address of its socket; every descendant of the supervisor has it in its environment."""
        return f"unix://{self._layout.sockets / 'supervisor'}"

    def alive(self) -> bool:
        try:
            self._call("getState")
        except StackError:
            return False
        return True

    def start(self) -> None:
        """Start it in a session of its own, without any process yet.

        Raises
        ------
        StackError
            If it does not answer within ten seconds.
        """
        record = self._layout.records / RECORD
        command = (sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self.config))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        subprocess.run(
            launched(record, command, detach=True),
            check=True,
            cwd=self._layout.home,
            env={**environment, **COMMON},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = seconds() + 10
        while not self.alive():
            if seconds() > until:
                log = self._layout.logs / "supervisord.log"
                raise StackError(f"the supervisor does not answer on {self.url}; see {log}")
            time.sleep(0.1)

    def states(self) -> dict[str, State]:
        """Return the state of every process by name."""
        return {
            found["name"]: State(
                found["statename"],
                found["pid"],
                found["exitstatus"],
                float(found["now"] - found["start"]) if found["pid"] else 0.0,
            )
            for found in self._call("getAllProcessInfo")
        }

    def start_process(self, name: str) -> None:
        self._call("startProcess", name, False)

    def stop_process(self, name: str) -> None:
        """Ask a process to stop, without waiting; one that has just ended is fine."""
        try:
            self._call("stopProcess", name, False)
        except StackError:
            if self.states()[name].running:
                raise

    def shutdown(self) -> None:
        self._call("shutdown")

    @property
    def config(self) -> Path:
        return self._layout.run / "supervisord.conf"

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        if self._proxy is None:
            transport = SupervisorTransport(None, None, serverurl=self.url)
            # The address is never used: the transport goes to the socket.
            self._proxy = ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except (OSError, HTTPException) as error:
            self._proxy = None
            raise StackError(f"the supervisor does not answer on {self.url}: {error}") from error
        except Fault as error:
            raise StackError(f"the supervisor refused {method}{arguments}: {error}") from error


def launched(
    record: Path, command: Sequence[str], *, user: str = "", detach: bool = False
) -> list[str]:
    """Return the command line that ends what the former run left, then becomes `command`."""
    options = [*(("--user", user) if user else ()), *(("--detach",) if detach else ())]
    script = str(Path(launch.__file__).resolve())
    return [sys.executable, "-I", "-S", script, str(record), *options, "--", *command]


def render(layout: Layout, processes: Sequence[Process]) -> str:
    """Return supervisord.conf: nothing starts by itself, what has started is kept running.

    It holds secrets and is written for its owner only.

    Raises
    ------
    StackError
        If a value of an environment cannot be written down.
    """
    sections = [
        _section(
            "supervisord",
            {
                "logfile": str(layout.logs / "supervisord.log"),
                "logfile_maxbytes": "5MB",
                "logfile_backups": "1",
                "pidfile": str(layout.run / "supervisord.pid"),
                "childlogdir": str(layout.logs),
                "umask": "077",
                "minfds": "1024",
                "identifier": "riskcast",
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
        ),
        _section("unix_http_server", {"file": str(layout.sockets / "supervisor"), "chmod": "0600"}),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": ("supervisor.rpcinterface:make_main_rpcinterface")},
        ),
        *(_program(layout, process) for process in processes),
    ]
    return "\n".join(sections)


def _program(layout: Layout, process: Process) -> str:
    record = layout.records / process.name
    command = launched(record, process.command, user=process.user)
    return _section(
        f"program:{process.name}",
        {
            "command": shlex.join(command),
            "directory": str(layout.home),
            "environment": _pairs(process.environment),
            "autostart": "false",
            "autorestart": "false" if process.once else "true",
            "startsecs": "0" if process.once else "1",
            # A server whose port is held by what is still ending needs more than one attempt.
            "startretries": "20",
            "exitcodes": "0",
            "stopsignal": process.stop_signal,
            "stopwaitsecs": str(process.stop_seconds),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.logs / f"{process.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "1",
        },
    )


def _section(name: str, options: Mapping[str, str]) -> str:
    lines = (f"{key}={value.replace('%', '%%')}" for key, value in options.items() if value)
    return "\n".join((f"[{name}]", *lines, ""))


def _pairs(environment: Mapping[str, str]) -> str:
    for name, value in environment.items():
        if odd := sorted(set(value) & set("\"'\n\r\\;")):
            raise StackError(f"{name} holds {odd}, which the supervisor's configuration cannot")
    return ",".join(f'{name}="{value}"' for name, value in environment.items())
