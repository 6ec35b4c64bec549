"""What every process reads again and again, beside the plain call of the library underneath.

    python benchmarks/reads.py --files DIR --json

A whole table of the lake beside `DeltaTable.to_pyarrow_table`, an alias of the registry beside
MLflow's own client on the same database, and the parsing of all DAG files, in processes of their
own, beside the import of Airflow's SDK that it cannot do without. Without --files the bundled
sample is used.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from _common import BEGINNING, open_files, parser_of
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import DeltaLake
from riskcast.products import DAILY_RISK
from riskcast.registry import Registry
from riskcast.tables.silver import MARKET_DAILY
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

ROOT = Path(__file__).parents[1]
PROCESSES = 7
PARSE = """
import runpy, sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import airflow.sdk, airflow.providers.standard.operators.bash
imported = time.process_time()
for file in sys.argv[2:]:
    runpy.run_path(file)
print(imported - began, time.process_time() - imported)
"""


def main() -> None:
    options = parse()
    console = Console(stderr=options.json, width=110)
    with tempfile.TemporaryDirectory() as home, console.status("reading"):
        result = {
            "table": read_table(options.files, Path(home) / "lake"),
            "alias": look_up_alias(home),
            "dags": parse_dags(home),
        }
    show(result, console)
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    return parser.parse_args()


def read_table(files: Path | None, root: Path) -> dict[str, Any]:
    source, _ = open_files(files)
    end = date.fromisoformat(source.newest())
    window = Window(BEGINNING, datetime.combine(end + timedelta(days=1), clock_time(), UTC))
    market = curate_market(source.fetch_market(window), xnys_sessions(BEGINNING.date(), end))
    lake = DeltaLake(str(root))
    lake.write(MARKET_DAILY, market, window)
    (log,) = root.rglob("_delta_log")
    plain = DeltaTable(str(log.parent))
    read = pl.DataFrame(plain.to_pyarrow_table())
    if read.height != lake.read(MARKET_DAILY).height:
        raise SystemExit("the lake and the library read different rows; no ratio is printed")
    return compared(
        f"{read.height:,} rows of {MARKET_DAILY.name}",
        lambda: lake.read(MARKET_DAILY),
        lambda: pl.DataFrame(DeltaTable(str(log.parent)).to_pyarrow_table()),
        calls=9,
    )


def look_up_alias(home: str) -> dict[str, Any]:
    settings = Settings(home=home)
    registry, client = Registry(settings), MlflowClient(settings.mlflow_uri)
    client.create_registered_model(DAILY_RISK.name)
    version = client.create_model_version(DAILY_RISK.name, home).version
    client.set_registered_model_alias(DAILY_RISK.name, "champion", version)
    return compared(
        "an alias",
        lambda: registry.alias(DAILY_RISK.name, "champion"),
        lambda: client.get_model_version_by_alias(DAILY_RISK.name, "champion"),
        calls=101,
    )


def parse_dags(home: str) -> dict[str, Any]:
    files = sorted(map(str, (ROOT / "dags").glob("*.py")))
    command = [sys.executable, "-c", PARSE, str(ROOT / "plugins"), *files]
    environment = {**os.environ, "AIRFLOW_HOME": f"{home}/airflow"}
    imported, parsed = [], []
    for _ in range(PROCESSES):
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        first, second = map(float, done.stdout.split()[-2:])
        imported.append(first)
        parsed.append(second)
    return ratio(f"{len(files)} DAG files", statistics.median(parsed), statistics.median(imported))


def compared(
    what: str, ours: Callable[[], object], plain: Callable[[], object], *, calls: int
) -> dict[str, Any]:
    """Take turns, so that a machine that slows down slows both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(calls):
        for call, taken in zip((ours, plain), seconds, strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
    return ratio(what, *map(statistics.median, seconds))


def ratio(what: str, ours: float, reference: float) -> dict[str, Any]:
    return {"what": what, "seconds": ours, "reference": reference, "ratio": ours / reference}


def show(result: dict[str, dict[str, Any]], console: Console) -> None:
    table = Table("what", "seconds", "reference", "ratio")
    for row in result.values():
        figures = (f"{row[name]:.4f}" for name in ("seconds", "reference"))
        table.add_row(row["what"], *figures, f"{row['ratio']:.2f}x")
    console.print(table)


if __name__ == "__main__":
    main()
