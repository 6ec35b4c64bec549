"""Commands of riskcast that are killed or run out of room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_pipeline

HISTORY = Window.parse("1999-01-01", "2000-12-15")


@dataclass
class Ended:
    """How a command ended: exit code (negative: a signal), seconds it lived, what it said."""

    code: int
    seconds: float
    said: str


class Nursery:
    """Runs commands in forks of a process that has imported everything."""

    def __init__(self) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RISKCAST_")}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("run_nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **environ,
                "RISKCAST_SOURCE": "sample",
                "POLARS_MAX_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
            },
        )
        assert self.process.stdout.readline() == "ready\n"

    def run(
        self,
        home: Path,
        *words: str,
        kill_after: float | None = None,
        limit: int | None = None,
        broken: str | None = None,
    ) -> Ended:
        """Run one command in a home to its end, or kill it after so many seconds.

        `limit` is the size in bytes beyond which no file of the command can grow: to the writer it
        is a disk that is full in the middle of a write. `broken` is what fails with an I/O error:
        every ``write``, or every ``move`` of a name.
        """
        order = {"home": str(home), "words": list(words), "limit": limit, "broken": broken}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        began = time.perf_counter()
        if kill_after is not None:
            time.sleep(kill_after)
            # Reaped by the nursery; if it ended before, its number is not yet anyone else's.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        answer = json.loads(self.process.stdout.readline())
        return Ended(answer["code"], time.perf_counter() - began, answer["said"])


@pytest.fixture(scope="package")
def history(tmp_path_factory) -> Path:
    """A home in which two years were run."""
    home = tmp_path_factory.mktemp("history") / "home"
    run_pipeline(MARKET_DAILY, HISTORY, Ports(Settings(home=str(home))))
    return home


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.process.communicate(timeout=60)
