"""What copies of requests cost the clients whose requests are copied.

    python benchmarks/mirror.py --json

Three doors in turns, so that foreign load strikes all: nginx without the directive, with it and
switched off, and switched on, when every request is also scored by the idle slot on the same
machine. Under a closed loop, and paced well below what the machine can do, as a rollout is meant
to run. With --json the last line of standard output is one JSON object.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import httpx
from rich.console import Console
from rich.table import Table

from _common import parser_of
from _house import HERE, PRODUCT, House, house

CLIENTS = 8
LOADS = {"closed": (), "paced": ("--rate", "30")}
DOORS = ("without", "off", "on")
FIGURES = ("rps", "p50_ms", "p95_ms", "p99_ms")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over them")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    with house(options.files) as measured:
        for name in ("blue", "green", "door", "plain-door"):
            measured.start(name)
        measured.await_ready("blue")
        measured.await_ready("green")
        measured.await_doors()
        result = measure(measured, options.rounds, options.seconds)
    show(result, Console(stderr=options.json, width=110))
    if options.json:
        print(json.dumps(result))
    if failed := result["failed"]:
        raise SystemExit(f"{failed} requests failed")


def measure(measured: House, rounds: int, seconds: float) -> dict:
    found = {(kind, door): [] for kind in LOADS for door in DOORS}
    for round_number in range(rounds + 1):
        for kind, arguments in LOADS.items():
            for door in DOORS:
                measured.router.mirror(PRODUCT, door == "on")
                said = load(measured, door, arguments, seconds if round_number else 0.5)
                if round_number:  # the first warms up
                    found[kind, door].append(said)
    measured.router.mirror(PRODUCT, False)
    result: dict = {"failed": sum(s["failed"] for all_said in found.values() for s in all_said)}
    for kind in LOADS:
        result[kind] = {
            door: {f: statistics.median(s[f] for s in found[kind, door]) for f in FIGURES}
            for door in DOORS
        }
        for name, door, base in (("off_ratio", "off", "without"), ("on_ratio", "on", "off")):
            pairs = list(zip(found[kind, door], found[kind, base], strict=True))
            result[kind][name] = {
                f: round(statistics.median(ours[f] / theirs[f] for ours, theirs in pairs), 3)
                for f in FIGURES
            }
    result["copies"] = copies(measured)
    return result


def load(measured: House, door: str, arguments: tuple[str, ...], seconds: float) -> dict:
    """Run the load generator to its end and return what it saw."""
    port = str(measured.plain_door) if door == "without" else measured.settings.api_port
    command = (sys.executable, str(HERE / "_load.py"), "--port", port, f"--key={measured.key}")
    common = ("--clients", str(CLIENTS), "--seconds", str(seconds))
    done = subprocess.run(
        (*command, *common, *arguments), check=True, capture_output=True, text=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def copies(measured: House) -> dict:
    """Return how many copies the idle slot took, and how many of them it dropped."""
    url = f"http://127.0.0.1:{measured.settings.green_port}/admin/mirror?last=0"
    said = httpx.get(url, headers={"X-API-Key": measured.admin_key}).json()
    return {"received": said["received"], "dropped": said["dropped"]}


def show(result: dict, console: Console) -> None:
    table = Table("load", "copies", *FIGURES, title="/predict through nginx")
    for kind in LOADS:
        for door, said in result[kind].items():
            table.add_row(kind, door, *(f"{said[f]:,.2f}" for f in FIGURES))
    console.print(table)
    console.print(
        "{received:,} copies taken, {dropped:,} of them dropped".format(**result["copies"])
    )


if __name__ == "__main__":
    main()
