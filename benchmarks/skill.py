"""Out-of-sample skill of the daily product, walk-forward, on real data.

    python benchmarks/skill.py --files DIR --start 2004-01-01 --end 2022-12-31 --json

Every forecast from the first possible session on is made as on its day; scores are of the
sessions from --start to --end. Without --files the bundled sample is used. With --json the last
line of standard output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # fits side by side must not spin

import polars as pl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from _common import gold_tables, open_files
from riskcast.evaluation import intervals, regimes
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.scores import score
from riskcast.evaluation.walk_forward import Walk, walk_forward
from riskcast.products import DAILY_RISK, Product


def main() -> None:
    options = parse()
    source, asset = open_files(options.files)
    end = options.end or date.fromisoformat(source.newest())
    features, labels = gold_tables(source, asset, end)
    design = build_design(features, labels, needed_columns(DAILY_RISK))
    product = effective(DAILY_RISK, design)
    console = Console(stderr=options.json, width=120)
    walk = run(product, design, options.cores, console)
    result = summarise(walk, features, product, options.start, end)
    show(result, console)
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, help="folder with market_daily and macro")
    parser.add_argument("--start", type=date.fromisoformat, default=date(2004, 1, 1))
    parser.add_argument("--end", type=date.fromisoformat, help="default: the newest session")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser.parse_args()


def run(product: Product, design, cores: int, console: Console) -> Walk:
    with Progress(console=console, transient=True) as bars:
        tasks: dict[str, object] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        return walk_forward(product, design, cores=cores, progress=advance)


def summarise(
    walk: Walk, features: pl.DataFrame, product: Product, start: date, end: date
) -> dict[str, object]:
    """Return every figure of the span, JSON-ready."""
    span = pl.col("date").is_between(start, end)
    record = walk.record.filter(span)
    published = intervals.calibrated(walk.record, features, product).filter(span)
    models = scores(record, product)
    years = sorted({day.year for day in record["date"]})
    each = {y: scores(record.filter(pl.col("date").dt.year() == y), product) for y in years}
    for name, figures in models.items():
        figures["per_year"] = {str(year): found[name] for year, found in each.items()}
        figures["seconds"] = round(walk.seconds.get(name, 0.0), 2)
    result = {
        "pool": product.pool_name,
        "benchmark": product.benchmark,
        "recipe": product.recipe,
        "first": str(record["date"].min()),
        "last": str(record["date"].max()),
        "models": models,
        "regimes": regimes.summary(published),
        "intervals": intervals.summary(published),
    }
    return finite(result)


def scores(record: pl.DataFrame, product: Product) -> dict[str, dict]:
    """Return every figure of each model, by its name."""
    rows = score(record, product).iter_rows(named=True)
    return {row.pop("model"): row for row in rows}


def finite(value):
    """Return the value with NaN as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def show(result: dict, console: Console) -> None:
    benchmark, pool = result["benchmark"], result["pool"]
    columns = ("rows", "qlike", "rmse_bp", "vs_hv20", f"vs_{benchmark}", "dm_t", "dm_p", "seconds")
    table = Table("model", *columns, title=f"Walk-forward {result['first']} to {result['last']}")
    for name, scores in result["models"].items():
        table.add_row(name, *(f"{scores[column]:.4g}" for column in columns))
    console.print(table)
    years = Table("year", pool, benchmark, "hv20", title="QLIKE by year")
    for year in result["models"][pool]["per_year"]:
        found = (result["models"][name]["per_year"][year] for name in (pool, benchmark, "hv20"))
        years.add_row(year, *(f"{figures['qlike']:.4f}" for figures in found))
    console.print(years)
    for part in ("regimes", "intervals"):
        said = ((k, v) for k, v in result[part].items() if v is not None)
        console.print(part, ", ".join(f"{key} {value:.4g}" for key, value in said))


if __name__ == "__main__":
    main()
