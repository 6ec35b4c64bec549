"""Throughput and latency of /predict through nginx beside the least FastAPI can do.

    python benchmarks/serving.py --json

The model is the product's own pool, fitted on the bundled sample (or --files). Each measurement
of /predict stands beside one of a bare FastAPI POST with pydantic behind the same nginx
configuration, in turns, so that foreign load strikes both; ratios are what to compare between
machines. A server remembers its answers; the bodies of `cold` all differ, so that it cannot. With
--json the last line of standard output is one JSON object.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from _common import parser_of
from _house import HERE, House, house

CLIENTS = (1, 8, 32)
COLD_BODY = '{"feature_vector": {"spy_ret_1d": 0.001#}}'
FIGURES = ("rps", "p50_ms", "p95_ms", "p99_ms")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over them")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args()
    with house(options.files) as measured:
        for name in ("blue", "green", "bare", "door", "bare-door"):
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
    predict = ("--port", measured.settings.api_port, f"--key={measured.key}")
    runs = {("cold", 8): (*predict, "--body", COLD_BODY)}
    for clients in CLIENTS:
        runs["reference", clients] = ("--port", str(measured.bare_door))
        runs["clients", clients] = predict
    found = {run: [] for run in runs}
    for run, arguments in runs.items():  # warms up connections, caches and the allocator
        load(*arguments, "--clients", str(run[1]), "--seconds", "0.3")
    for _ in range(rounds):
        for run, arguments in runs.items():
            said = load(*arguments, "--clients", str(run[1]), "--seconds", str(seconds))
            found[run].append(said)
    return summarise(found)


def load(*arguments: str) -> dict:
    """Run the load generator to its end and return what it saw."""
    command = (sys.executable, str(HERE / "_load.py"), *arguments)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


def summarise(found: dict) -> dict:
    """Medians over rounds; ratios are medians of the ratios within each round."""
    result: dict = {"clients": {}, "reference": {}, "cold": {}, "ratios": {}}
    for (kind, clients), said in found.items():
        middle = {f: round(statistics.median(s[f] for s in said), 3) for f in FIGURES}
        result[kind][str(clients)] = middle
    for name, kind, clients in (
        *((str(clients), "clients", clients) for clients in CLIENTS),
        ("cold_8", "cold", 8),
    ):
        pairs = list(zip(found[kind, clients], found["reference", clients], strict=True))
        result["ratios"][name] = {
            f: round(statistics.median(ours[f] / bare[f] for ours, bare in pairs), 3)
            for f in FIGURES
        }
    result["failed"] = sum(s["failed"] for said in found.values() for s in said)
    result["requests"] = sum(s["requests"] for said in found.values() for s in said)
    return result


def show(result: dict, console: Console) -> None:
    table = Table("", "clients", *FIGURES, title="/predict through nginx")
    for kind, title in (
        ("reference", "bare POST"),
        ("clients", "/predict"),
        ("cold", "/predict, all bodies differ"),
    ):
        for clients, said in result[kind].items():
            table.add_row(title, clients, *(f"{said[f]:,.2f}" for f in FIGURES))
    for name, said in result["ratios"].items():
        table.add_row("ratio", name, *(f"{said[f]:.2f}x" for f in FIGURES))
    console.print(table)


if __name__ == "__main__":
    main()
