"""Requests lost while traffic moves between the colours, and while the active one is killed.

    python benchmarks/flips.py --json

Three parts, none of whose clients retries: 20 flips and 5 rollbacks; ten times another model put
into the active colour while it answers; and kill -9 of the active colour five times, each time
restarted and ready before the next. All under a closed loop, the first two also under a paced
strict client (8 connections, 100 requests a second each), because a closed loop rarely has an idle
connection to lose. Latency near a change is compared with the rest of the same run. With --json
the last line of standard output is one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table

from _common import parser_of
from _house import HERE, PRODUCT, House, house

FLIPS, ROLLBACKS, SWAPS, KILLS = 20, 5, 10, 5
CLIENTS, RATE = 8, 100
QUICK = 20_000
NEAR_SECONDS = 0.5  # after a flip or swap: requests of its time
LOAD_SECONDS = 2.5  # before a swap: the model is loaded
SWAP_EVERY = 8.0  # seconds; a server looks every two, and loads for some
OTHER = {"blue": "green", "green": "blue"}
PARTS = {
    "": ("closed loop", f"{FLIPS} flips, {ROLLBACKS} rollbacks"),
    "paced_": ("paced strict", f"{FLIPS} flips, {ROLLBACKS} rollbacks"),
    "swap_": ("closed loop", f"{SWAPS} models swapped"),
    "paced_swap_": ("paced strict", f"{SWAPS} models swapped"),
    "kill_": ("closed loop", f"{KILLS} kill -9"),
}


@dataclass
class Load:
    """A running generator and, once it has ended, what it saw."""

    process: subprocess.Popen[str]
    said: dict = field(default_factory=dict)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--requests", type=int, default=200_000, help="of the closed loop")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} requests")
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
    if lost := sum(result[f"{part}failed"] for part in PARTS):
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
    swapped = {}
    for part, pace in (("swap", ()), ("paced_swap", ("--rate", str(RATE)))):
        with load(measured, *pace, "--requests", "1", "--trace", "--listen") as swapped[part]:
            swap(measured)
    with load(measured, "--requests", "1", "--listen") as killed:
        for _ in range(KILLS):
            kill(measured)
    steady, near = latencies(closed.said["trace"], [(at, at + NEAR_SECONDS) for at in moves])
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
        **{k: v for part, each in swapped.items() for k, v in swaps(part, each.said).items()},
        "kills": KILLS,
        "kill_requests": killed.said["requests"],
        "kill_failed": killed.said["failed"],
        "failures": [each.said["failures"] for each in (closed, paced, *swapped.values(), killed)],
        "seconds": round(time.perf_counter() - started, 1),
    }


@contextmanager
def load(measured: House, *arguments: str) -> Iterator[Load]:
    """Run the generator around a block; it ends after the block and all its requests."""
    command = (sys.executable, str(HERE / "_load.py"), "--port", measured.settings.api_port)
    common = ("--clients", str(CLIENTS), f"--key={measured.key}", "--seconds", "1800")
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


def swap(measured: House) -> None:
    """Give the active slot another version again and again."""
    slot = measured.router.active(PRODUCT)
    for number in range(SWAPS):
        measured.assign(slot, measured.versions[1 - number % 2])
        time.sleep(SWAP_EVERY)


def swaps(part: str, said: dict) -> dict:
    """Return what was seen of the swaps, its names beginning with the part's."""
    taken = taken_up(said["models"])
    spans = [(at - LOAD_SECONDS, at + NEAR_SECONDS) for at in taken]
    steady, near = latencies(said["trace"], spans)
    return {
        f"{part}s": len(taken),
        f"{part}_requests": said["requests"],
        f"{part}_failed": said["failed"],
        f"{part}_p99_steady_ms": steady,
        f"{part}_p99_ms": near,
        f"{part}_p99_ratio": round(near / steady, 2),
    }


def taken_up(models: list[tuple[float, str]]) -> list[float]:
    """Return when another model began to answer for good.

    Answers of the one before may still be under way, and a request may go to the other colour.
    """
    following = [at for at, _ in models[1:]] + [np.inf]
    lasting = [m for m, until in zip(models, following, strict=True) if until - m[0] > 1.0]
    return [at for (_, before), (at, now) in pairwise(lasting) if now != before]


def kill(measured: House) -> None:
    slot = measured.router.active(PRODUCT)
    measured.kill(slot)
    time.sleep(0.5)
    measured.start(slot)
    measured.await_ready(slot)
    time.sleep(0.5)


def latencies(trace: list[list[float]], spans: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the 99th percentile (ms) outside the spans of time, and inside."""
    ended, took = map(np.array, trace)
    near = np.zeros(len(ended), dtype=bool)
    for start, end in spans:
        near |= (ended >= start) & (ended <= end)
    return tuple(round(float(np.percentile(took[m], 99)), 2) for m in (~near, near))


def show(result: dict, console: Console) -> None:
    table = Table("under", "events", "requests", "lost", title="Moving traffic without losing any")
    for part, (under, events) in PARTS.items():
        requests, lost = result[f"{part}requests"], result[f"{part}failed"]
        table.add_row(under, events, f"{requests:,}", str(lost))
    console.print(table)
    console.print(
        f"p99 {result['p99_steady_ms']} ms steady, {result['p99_flip_ms']} ms within "
        f"{NEAR_SECONDS} s after a switch ({result['p99_ratio']}x)"
    )
    for part in ("swap_", "paced_swap_"):
        console.print(
            f"{PARTS[part][0]}: p99 {result[f'{part}p99_steady_ms']} ms steady, "
            f"{result[f'{part}p99_ms']} ms while another model is loaded and takes over "
            f"({result[f'{part}p99_ratio']}x)"
        )


if __name__ == "__main__":
    main()
