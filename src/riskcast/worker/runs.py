"""Steps as children of this process: begun once however often they are asked for, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Literal

from riskcast.core.clock import seconds
from riskcast.core.errors import RunnerBusy

KEPT = 100  # ended runs that are remembered, with their logs
CHUNK = 65_536  # bytes of a log in one answer
LONGEST = 6 * 3600.0  # seconds; whoever asked has given up by then
GRACE = 10.0  # seconds between being asked to end and being ended

State = Literal["running", "succeeded", "failed"]


@dataclass(slots=True)
class Run:
    """One step's process and its log.

    Attributes
    ----------
    attempt : str
        Name of the request that began it; the same request asked again finds it, ended or not.
    ending : float or None
        When it was asked to end.
    """

    id: str
    attempt: str
    process: subprocess.Popen[bytes]
    log: Path
    begun: float = field(default_factory=seconds)
    ending: float | None = None

    @property
    def state(self) -> State:
        code = self.process.poll()
        return "running" if code is None else "failed" if code else "succeeded"


def run_id(pipeline: str, step: str, asked: str, member: str = "") -> str:
    """Return the name of a step's, or a member's, run within the run of a scheduler."""
    return sha256(f"{pipeline}\n{step}\n{asked}\n{member}".encode()).hexdigest()[:24]


class Runs:
    """The steps of one machine.

    Parameters
    ----------
    folder : Path
        Where logs are kept.
    most : int
        Steps at a time.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._lock = Lock()
        self._runs: dict[str, Run] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.log"):  # of processes that ended with the one before this
            left.unlink()

    def begin(self, name: str, attempt: str, command: Sequence[str]) -> Run:
        """Start the command, unless it runs already or this very attempt has run.

        Raises
        ------
        RunnerBusy
            If as many steps run as may.
        """
        with self._lock:
            found = self._runs.get(name)
            if found and (found.state == "running" or found.attempt == attempt):
                return found
            self._tidy()
            if sum(run.state == "running" for run in self._runs.values()) >= self._most:
                raise RunnerBusy(f"{self._most} steps run already, which is RISKCAST_CORES")
            log = self._folder / f"{name}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that it ends with all its children
                )
            self._runs.pop(name, None)
            self._runs[name] = Run(name, attempt, process, log)
            return self._runs[name]

    def find(self, name: str) -> Run | None:
        """Return the run of that name; None if there is none any more."""
        with self._lock:
            return self._runs.get(name)

    def end(self, run: Run) -> None:
        """Ask it to end; `watch` kills it when it does not."""
        with self._lock:
            if run.ending is None and run.state == "running":
                run.ending = seconds()
                os.killpg(run.process.pid, signal.SIGTERM)

    def watch(self) -> None:
        """End what runs longer than anybody waits, kill what does not end; called on a timer."""
        now = seconds()
        with self._lock:
            running = [run for run in self._runs.values() if run.state == "running"]
        for run in running:
            if now - run.begun > LONGEST:
                self.end(run)
            if run.ending is not None and now - run.ending > GRACE and run.state == "running":
                os.killpg(run.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End everything."""
        with self._lock:
            running = [run for run in self._runs.values() if run.state == "running"]
        for run in running:
            self.end(run)
        for run in running:
            try:
                run.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(run.process.pid, signal.SIGKILL)

    def _tidy(self) -> None:
        ended = [run for run in self._runs.values() if run.state != "running"]
        for run in ended[: max(0, len(ended) - KEPT)]:
            run.log.unlink(missing_ok=True)
            del self._runs[run.id]


def read_log(run: Run, offset: int) -> tuple[str, int]:
    """Return what was logged from a byte on, and the byte to go on from; whole lines while it runs.

    A line that is longer than an answer is cut.
    """
    running = run.state == "running"
    with run.log.open("rb") as file:
        file.seek(offset)
        said = file.read(CHUNK)
    if running and len(said) < CHUNK:
        said = said[: said.rfind(b"\n") + 1]
    return said.decode(errors="replace"), offset + len(said)
