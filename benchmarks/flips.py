"""Requests lost while traffic moves between the colours, and while the active one is killed.

    python benchmarks/flips.py --json

Three parts, none of whose clients retries: 20 flips and 5 rollbacks under a closed loop; the same
under a paced strict client (8 connections, 100 requests a second each), because a closed loop
rarely has an idle connection to lose; and kill -9 of the active colour five times under the closed
loop, each time restarted and ready before the next. Latency near a switch is compared with the
rest of the same run. With --json the last line of standard output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from _house import HERE, PRODUCT, House, house

FLIPS, ROLLBACKS, KILLS = 20, 5, 5
CLIENTS, RATE = 8, 100
QUICK = 20_000
NEAR_SECONDS = 0.5  # how long after a switch a request counts as one of its time
OTHER = {"blue": "green", "green": "blue"}


@dataclass
class Load:
    """A running generator and, once it has ended, what it saw."""

    process: subprocess.Popen[str]
    said: dict = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, help="folder with market_daily and macro")
    parser.add_argument("--requests", type=int, default=200_000, help="of the closed loop")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} requests")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    requests = QUICK if options.quick else options.requests
    with house(options.files) as measured:
        for name in ("blue", "green", "door"):
            measured.start(name)
        measured.await_ready("blue")
        measured.await_ready("green")
        measured.await_doors()
        result = measure(measured, requests)
    show(result, Console(stderr=options.json, width=110))
    if options.json:
        print(json.dumps(result))
    if lost := result["failed"] + result["paced_failed"] + result["kill_failed"]:
        raise SystemExit(f"{lost} requests were lost")


def measure(measured: House, requests: int) -> dict:
    started = time.perf_counter()
    with load(measured, "--seconds", "2") as probe:
        pass
    pause = max(0.5, requests / probe.said["rps"] / (FLIPS + ROLLBACKS + 1))
    moves: list[float] = []
    with load(measured, "--requests", str(requests), "--trace", "--listen") as closed:
        switch(measured, moves, lambda: time.sleep(pause))
    with load(measured, "--rate", str(RATE), "--requests", "1", "--listen") as paced:
        switch(measured, [], lambda: time.sleep(0.5))
    with load(measured, "--requests", "1", "--listen") as killed:
        for _ in range(KILLS):
            kill(measured)
    steady, near = latencies(closed.said["trace"], moves)
    return {
        "requests": closed.said["requests"],
        "failed": closed.said["failed"],
        "flips": FLIPS,
        "rollbacks": ROLLBACKS,
        "slots": closed.said["slots"],
        "p99_steady_ms": steady,
        "p99_flip_ms": near,
        "p99_ratio": round(near / steady, 2),
        "paced_requests": paced.said["requests"],
        "paced_failed": paced.said["failed"],
        "paced_p99_ms": paced.said["p99_ms"],
        "kills": KILLS,
        "kill_requests": killed.said["requests"],
        "kill_failed": killed.said["failed"],
        "failures": [each.said["failures"] for each in (closed, paced, killed)],
        "seconds": round(time.perf_counter() - started, 1),
    }


@contextmanager
def load(measured: House, *arguments: str) -> Iterator[Load]:
    """Run the generator around a block; it ends after the block and all its requests."""
    command = (sys.executable, str(HERE / "_load.py"), "--port", measured.settings.api_port)
    common = ("--clients", str(CLIENTS), "--key", measured.key, "--seconds", "1800")
    with subprocess.Popen(
        (*command, *common, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        running = Load(process)
        try:
            time.sleep(1.0)  # connections are open and warm
            yield running
            printed, _ = process.communicate("done\n", timeout=1800)
        except BaseException:
            process.kill()
            raise
    running.said = json.loads(printed.splitlines()[-1])


def switch(measured: House, moves: list[float], wait: Callable[[], None]) -> None:
    """Flip; every fourth time also roll back. Appends the instant of each switch to `moves`."""
    for number in range(FLIPS):
        before = measured.router.active(PRODUCT)
        rolled_back = number % (FLIPS // ROLLBACKS) == 0
        for slot in (OTHER[before], before) if rolled_back else (OTHER[before],):
            wait()
            moves.append(time.time())
            measured.router.switch(PRODUCT, slot)
    wait()


def kill(measured: House) -> None:
    slot = measured.router.active(PRODUCT)
    measured.kill(slot)
    time.sleep(0.5)
    measured.start(slot)
    measured.await_ready(slot)
    time.sleep(0.5)


def latencies(trace: list[list[float]], moves: list[float]) -> tuple[float, float]:
    """Return the 99th percentile (ms) away from switches, and within NEAR_SECONDS after one."""
    ended, took = map(np.array, trace)
    last = np.searchsorted(moves, ended, side="right") - 1
    since = ended - np.where(last >= 0, np.array(moves)[last], -np.inf)
    near = since <= NEAR_SECONDS
    return tuple(round(float(np.percentile(took[m], 99)), 2) for m in (~near, near))


def show(result: dict, console: Console) -> None:
    table = Table("under", "events", "requests", "lost", title="Moving traffic without losing any")
    moves = f"{FLIPS} flips, {ROLLBACKS} rollbacks"
    table.add_row("closed loop", moves, f"{result['requests']:,}", str(result["failed"]))
    table.add_row(
        "paced strict", moves, f"{result['paced_requests']:,}", str(result["paced_failed"])
    )
    table.add_row(
        "closed loop",
        f"{KILLS} kill -9",
        f"{result['kill_requests']:,}",
        str(result["kill_failed"]),
    )
    console.print(table)
    console.print(
        f"p99 {result['p99_steady_ms']} ms steady, {result['p99_flip_ms']} ms within "
        f"{NEAR_SECONDS} s after a switch ({result['p99_ratio']}x)"
    )


if __name__ == "__main__":
    main()
