"""Out-of-sample skill of the daily product, walk-forward, on real data.

    python benchmarks/skill.py --files DIR --start 2004-01-01 --end 2022-12-31 --json

Every forecast from the first possible session on is made as on its day; scores are of the
sessions from --start to --end. Without --files the bundled sample is used. With --json the last
line of standard output is one JSON object. --members leaves out the challengers; --random-walk
replaces the asset by a random walk, on which there must be no skill and no promotion.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from datetime import date

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # fits side by side must not spin

import polars as pl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from _common import gold_tables, open_files, parser_of
from _targets import reached
from riskcast.core.clock import seconds
from riskcast.evaluation import diagnostics, intervals, regimes
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.gate import decide
from riskcast.evaluation.scores import score
from riskcast.evaluation.walk_forward import Walk, walk_forward
from riskcast.products import DAILY_RISK, Product

INTERVALS_FROM = date(2007, 1, 1)


def main() -> None:
    options = parse()
    source, asset = open_files(options.files)
    end = options.end or date.fromisoformat(source.newest())
    asked = DAILY_RISK if options.members else DAILY_RISK.with_challengers()
    features, labels = gold_tables(
        source, asset, end, states=not options.members, random_walk=options.random_walk
    )
    design = build_design(features, labels, needed_columns(asked))
    product = effective(asked, design)
    console = Console(stderr=options.json, width=140)
    began = seconds()
    walk = run(product, design, options.cores, console)
    result = summarise(walk, features, product, options.start, end)
    result["seconds"] = round(seconds() - began, 1)
    show(result, console)
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2004, 1, 1))
    parser.add_argument("--end", type=date.fromisoformat, help="default: the newest session")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--members", action="store_true", help="leave out the challengers")
    parser.add_argument("--random-walk", action="store_true", help="nothing to foresee")
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
    models = scores(record, product)
    in_set = diagnostics.confidence_set(record)
    years = sorted({day.year for day in record["date"]})
    each = {y: scores(record.filter(pl.col("date").dt.year() == y), product) for y in years}
    for name, figures in models.items():
        figures["per_year"] = {str(year): found[name] for year, found in each.items()}
        figures["seconds"] = round(walk.seconds.get(name, 0.0), 2)
        figures["mcs_p"] = in_set[name]
    pool = record.filter(pl.col("model") == product.pool_name)
    verdict = decide(walk.record, features, product)
    result = {
        "pool": product.pool_name,
        "benchmark": product.benchmark,
        "recipe": product.recipe,
        "first": str(record["date"].min()),
        "last": str(record["date"].max()),
        "models": models,
        **calibration(walk.record, features, product, span),
        "mincer_zarnowitz": diagnostics.mincer_zarnowitz(
            pool["variance"].to_numpy(), pool["variance_hat"].to_numpy()
        ),
        "reducible": diagnostics.reducible_share(
            models[product.pool_name]["qlike"], models["hv20"]["qlike"], product.gate.noise_floor
        ),
        "ablation": diagnostics.ablation(record, product).to_dicts(),
        "gate": {"verdict": verdict.verdict, "reason": verdict.reason},
    }
    result["targets"] = reached(result)
    return finite(result)


def calibration(
    record: pl.DataFrame, features: pl.DataFrame, product: Product, span: pl.Expr
) -> dict[str, object]:
    """Return scores of probabilities by each definition, and of intervals from 2007 on."""
    by_definition = {}
    for definition in regimes.known_definitions(product, features):
        chosen = product.with_regimes(definition)
        published = intervals.calibrated(record, features, chosen).filter(span)
        by_definition[definition] = regimes.summary(published)
    published = intervals.calibrated(record, features, product).filter(span)
    late = published.filter(pl.col("date") >= INTERVALS_FROM)
    coverage = intervals.summary(published if late.is_empty() else late)
    return {"regimes": by_definition, "intervals": coverage}


def scores(record: pl.DataFrame, product: Product) -> dict[str, dict]:
    """Return every figure of each model, by its name."""
    rows = score(record, product).iter_rows(named=True)
    return {row.pop("model"): row for row in rows}


def finite(value):
    """Return the value with NaN as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(result: dict, console: Console) -> None:
    benchmark, pool = result["benchmark"], result["pool"]
    columns = ("qlike", "rmse_bp", "vs_hv20", f"vs_{benchmark}", "dm_p", "rmse_vs_hv20",
               f"rmse_vs_{benchmark}", "rmse_dm_p", "mcs_p", "seconds")  # fmt: skip
    table = Table("model", *columns, title=f"Walk-forward {result['first']} to {result['last']}")
    for name, figures in result["models"].items():
        table.add_row(name, *(f"{figures[column]:.4g}" for column in columns))
    console.print(table)
    years = Table("year", pool, benchmark, "hv20", title="QLIKE by year")
    for year in result["models"][pool]["per_year"]:
        found = (result["models"][name]["per_year"][year] for name in (pool, benchmark, "hv20"))
        years.add_row(year, *(f"{figures['qlike']:.4f}" for figures in found))
    console.print(years)
    goals = Table("figure", "reached", "goal", "floor", "floor met", title="Targets")
    for row in result["targets"]:
        goals.add_row(*(str(row[name]) for name in ("figure", "reached", "goal", "floor", "met")))
    console.print(goals)
    without = Table("model", "against", "QLIKE change, %", "DM p", title="Ablation")
    for row in result["ablation"]:
        said = f"{row['change']:+.2f}", f"{row['dm_p']:.3f}"
        without.add_row(row["model"], row["without"], *said)
    console.print(without)
    console.print(f"gate: {result['gate']['verdict']}, {result['gate']['reason']}")


if __name__ == "__main__":
    main()
