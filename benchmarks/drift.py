"""False alarms and power of drift detection, and of the guardrail, on real data.

    python benchmarks/drift.py --files DIR --json

Series are those that the pool reads. Bounds come from all of the history; false alarms are weeks of
block-bootstrap draws of that history's judged sessions, replay_* those of the history judged as on
the day. A fault is planted into one series at a random session and must be found within four weeks;
reference and bounds are those of its quarter and of the whole history. shift moves the series by 3
HAC standard errors of a week's mean. A fault counts as found by the series' own past or by the
features built again from the bars, as in the pipeline; *_by_past_alone_pct leaves the latter out,
which is what a fault in the bars themselves, or a shift of the market, has to be found by. Without
--files the bundled sample is used. With --json the last line of standard output is one JSON object.
--draws sets all counts.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from datetime import date

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from rich.console import Console
from rich.table import Table

from _common import gold_tables, open_files, parser_of
from riskcast.core.clock import seconds
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.scores import common_span, losses_of
from riskcast.evaluation.walk_forward import walk_forward
from riskcast.models.base import Floats
from riskcast.monitoring.drift import DAILY, STATISTICS, measure
from riskcast.monitoring.guardrail import YEAR, block_rows, calibrate
from riskcast.monitoring.limits import WEEK, bounds, judge, persistent
from riskcast.monitoring.skew import FEW, differing
from riskcast.products import DAILY_RISK, Product

MONTH = 20
WEEKS = 52  # of a draw
HAC_LAG = 10
FIXED_PSI = 0.2
FAULTS = ("unit_x100", "unit_/100", "stuck", "flip", "lag", "missing")
LIMIT_MISSING = 0.05


def main() -> None:
    options = parse()
    began = seconds()
    source, asset = open_files(options.files)
    features, labels = gold_tables(source, asset, date.fromisoformat(source.newest()))
    design = build_design(features, labels, needed_columns(DAILY_RISK))
    product = effective(DAILY_RISK, design)
    names = tuple(dict.fromkeys(c for m in product.pool for c in product.candidate(m).columns))
    x = design.take(names).x
    rng = np.random.default_rng(options.seed)
    result = {
        "series": len(names),
        "sessions": len(x),
        **false_alarms(x, options.draws, rng),
        **power(x, options.draws, rng),
        **guardrail(product, walk_forward(product, design, cores=options.cores).record, rng),
    }
    result["seconds"] = round(seconds() - began, 1)
    show(result, Console(stderr=options.json))
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20)
    return parser.parse_args()


def false_alarms(x: Floats, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """Weeks with an alarm: of bootstrap draws, of the history as on its day, and by PSI > 0.2."""
    measured = measure(x)[DAILY.first :]
    value = persistent(measured)
    alarmed = (value > bounds(value)).any(axis=(1, 2))
    fixed = (measured[:, :, STATISTICS.index("psi")] > FIXED_PSI).any(axis=1)
    rows = block_rows(len(value), WEEKS * WEEK, draws, rng)
    judged = judge(x)
    known = np.isfinite(judged.bound).any(axis=(1, 2))
    replayed = judged.beyond[known]
    half = len(replayed) // 2
    return {
        "draws": draws,
        "false_alarms_per_week_pct": _weeks(alarmed[rows]),
        "fixed_psi_alarms_per_week_pct": _weeks(fixed[rows]),
        "replay_alarms_per_week_pct": _weeks(replayed.any(axis=1)[None]),
        "replay_second_half_per_week_pct": _weeks(replayed[half:].any(axis=1)[None]),
        "replay_retrain_per_week_pct": _weeks((replayed.mean(axis=1) > 0.3)[None]),
    }


def _weeks(alarmed: np.ndarray) -> float:
    whole = alarmed.shape[1] // WEEK * WEEK
    weeks = alarmed[:, :whole].reshape(len(alarmed), -1, WEEK).any(axis=2)
    return round(100 * float(weeks.mean()), 3)


def power(x: Floats, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of planted worlds in which any series is beyond its bound within four weeks."""
    value = persistent(measure(x)[DAILY.first :])
    bound = bounds(value)
    kinds = ("none", "shift", *FAULTS)
    found = {
        kind: np.mean([_found(x, bound, kind, rng) for _ in range(draws)], axis=0) for kind in kinds
    }
    alone, shares = (
        {kind: round(100 * float(pair[i]), 2) for kind, pair in found.items()} for i in (0, 1)
    )
    return {
        "power_pct": alone["shift"],
        "power_faults_pct": round(float(np.mean([shares[f] for f in FAULTS])), 2),
        **{f"power_{kind}_pct": shares[kind] for kind in FAULTS},
        **{f"power_{kind}_by_past_alone_pct": alone[kind] for kind in FAULTS},
        "alarms_in_four_weeks_without_fault_pct": alone["none"],
    }


def _found(x: Floats, bound: Floats, kind: str, rng: np.random.Generator) -> tuple[bool, bool]:
    """Plant one fault into a random series within a random quarter, so that one reference holds.

    Returns
    -------
    Whether its own past finds it, and whether that or the rebuilt features do.
    """
    quarters = range(DAILY.first + 12 * DAILY.refresh, len(x), DAILY.refresh)
    start = int(rng.choice([q for q in quarters if q + DAILY.refresh <= len(x)]))
    at = start + int(rng.integers(DAILY.refresh - MONTH + 1))
    j = int(rng.integers(x.shape[1]))
    if kind == "missing":
        world = plant(kind, x[at : at + MONTH].copy(), 0, j, rng)
        lacking = bool(np.isnan(world[:, j]).mean() > LIMIT_MISSING)
        return lacking, lacking
    # One reference, of the sessions before the quarter: cut so that the grid of `measure` hits it.
    first = start - DAILY.reference
    world = plant(kind, x[first : at + MONTH].copy(), at - first, j, rng)
    value = persistent(measure(world, replace(DAILY, first=DAILY.reference)))[-MONTH:]
    past = bool((value > bound).any())
    wrong = differing(world, x[first : at + MONTH])[-MONTH:].sum(axis=0)
    return past, past or (kind in FAULTS and bool((wrong > FEW).any()))


def plant(kind: str, x: Floats, at: int, j: int, rng: np.random.Generator) -> Floats:
    """Return the world with one series changed from row `at` on."""
    series = x[:, j].copy()
    after = series[at:]
    if kind == "shift":
        after = after + rng.choice([-1, 1]) * 3 * week_error(series[:at])
    elif kind == "unit_x100":
        after = after * 100
    elif kind == "unit_/100":
        after = after / 100
    elif kind == "stuck":
        after = np.full_like(after, series[at - 1])
    elif kind == "flip":
        after = -after
    elif kind == "lag":
        after = series[at - 1 : -1]
    elif kind == "missing":
        after = after.copy()
        after[rng.choice(len(after), len(after) // 10, replace=False)] = np.nan
    x[at:, j] = after
    return x


def week_error(series: Floats) -> float:
    """Return the HAC standard error of the mean of a week (Newey and West 1987)."""
    centred = series[~np.isnan(series)]
    centred = centred - centred.mean()
    n = len(centred)
    gamma = [float(centred[k:] @ centred[: n - k]) / n for k in range(HAC_LAG + 1)]
    tapered = sum((1 - k / (HAC_LAG + 1)) * gamma[k] for k in range(1, HAC_LAG + 1))
    return float(np.sqrt((gamma[0] + 2 * tapered) / WEEK))


def guardrail(product: Product, record, rng: np.random.Generator) -> dict[str, float]:
    """False rollbacks a year and power within 20 sessions, with each member as the one before."""
    scored = common_span(record)
    pool, benchmark = (losses_of(scored, n) for n in (product.pool_name, product.benchmark))
    members = {name: losses_of(scored, name) for name in product.pool}
    test = calibrate(pool, tuple(members.values()), benchmark, seed=len(pool))
    years = block_rows(len(pool), YEAR, 4000, rng)
    months = rng.integers(len(pool) - MONTH, size=4000)[:, None] + np.arange(MONTH)
    false, added, doubled = [], [], []
    for other in members.values():
        path = test.path(pool[years], other[years], benchmark[years])
        false.append(float((path.max(axis=1) > test.bound).mean()))
        for found, loss in ((added, pool + test.unit), (doubled, 2 * pool)):
            path = test.path(loss[months], other[months], benchmark[months])
            found.append(float((path.max(axis=1) > test.bound).mean()))
    return {
        "guardrail_bound": round(test.bound, 3),
        "guardrail_false_a_year_pct": round(100 * max(false), 3),
        "guardrail_power_mean_doubled_pct": round(100 * min(added), 2),
        "guardrail_power_each_doubled_pct": round(100 * min(doubled), 2),
    }


def show(result: dict[str, float], console: Console) -> None:
    table = Table("figure", "value", box=None)
    for name, value in result.items():
        table.add_row(name, str(value))
    console.print(table)


if __name__ == "__main__":
    main()
