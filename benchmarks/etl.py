"""Bronze to gold: time and memory of the daily ETL beside a plain pandas version of it.

    python benchmarks/etl.py --files DIR --json

Both run in this process on the same bars, and their columns are compared before any ratio is
printed. The daily increment is the compute of one more session on top of the whole history.
Without --files the bundled sample is used.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from rich.console import Console
from rich.table import Table

from _common import BEGINNING, open_files, parser_of
from riskcast.core.window import Window
from riskcast.evaluation.targets import build_labels
from riskcast.features.daily import build_features
from riskcast.products import DAILY_RISK
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market
from riskcast.transforms.sessions import xnys_sessions

TOLERANCE = 1e-9


def main() -> None:
    options = parse()
    console = Console(stderr=options.json, width=110)
    source, asset = open_files(options.files)
    end = date.fromisoformat(source.newest())
    evening = datetime.combine(end + timedelta(days=1), clock_time(), UTC)
    window = Window(datetime(options.first, 1, 1, tzinfo=UTC), evening)
    raw, macro = source.fetch_market(window), source.fetch_macro(Window(BEGINNING, evening))
    sessions = xnys_sessions(window.start.date(), end)

    timings: dict[str, float] = {}
    step = stopwatch(timings)
    market = step("curate_market", lambda: curate_market(raw, sessions))
    aligned = step("align_macro", lambda: align_macro(macro, sessions))
    features = step("features", lambda: build_features(market, aligned, asset=asset))
    step(
        "labels",
        lambda: build_labels(market, features, sessions, asset=asset, product=DAILY_RISK),
    )
    total = sum(timings.values())
    # One more session recomputes the history: it must stay small beside a run's other costs.
    began = time.perf_counter()
    build_features(curate_market(raw, sessions), align_macro(macro, sessions), asset=asset)
    increment = time.perf_counter() - began

    reference: dict[str, float] = {}
    plain = stopwatch(reference)(
        "pandas", lambda: pandas_features(raw.to_pandas(), set(sessions["session"]), asset)
    )
    compared = compare(features, plain)
    ours = timings["curate_market"] + timings["features"]
    result = {
        "symbols": raw["symbol"].n_unique(),
        "bars": raw.height,
        "sessions": features.height,
        "seconds": {**timings, "bronze_to_gold": total, "increment": increment},
        "pandas_seconds": reference["pandas"],
        "columns_compared": compared,
        "pandas_over_ours": reference["pandas"] / ours,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    show(result, console)
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--first", type=int, default=1993, help="first year of bars")
    return parser.parse_args()


def stopwatch(into: dict[str, float]) -> Callable[[str, Callable[[], Any]], Any]:
    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        out = call()
        into[name] = time.perf_counter() - began
        return out

    return timed


def pandas_features(raw: pd.DataFrame, sessions: set[date], asset: str) -> pd.DataFrame:
    """Return some of the columns as a plain pandas script would compute them."""
    raw = raw[pd.to_datetime(raw["date"]).dt.date.isin(sessions)].sort_values(["symbol", "date"])
    raw["ret"] = raw.groupby("symbol")["adj_close"].transform(
        lambda p: np.log(p.where(p > 0)).diff()
    )
    returns = raw.pivot(index="date", columns="symbol", values="ret")
    bars = raw[raw["symbol"] == asset].set_index("date")
    r, out = bars["ret"], pd.DataFrame(index=bars.index)
    for n in (5, 10, 20):
        out[f"spy_ret_{n}d"] = r.rolling(n).sum()
        out[f"spy_vol_{n}d"] = r.rolling(n).std() * np.sqrt(252)
    close = bars["adj_close"]
    out["drawdown_60d"] = np.log(close / close.rolling(60).max())
    out["dd"] = np.log(close / close.rolling(252).max())
    out["skew_20d"], out["kurt_20d"] = r.rolling(20).skew(), r.rolling(20).kurt()
    out["hv20"] = 5 * (r**2).rolling(20).mean()
    for symbol, name in (("TLT", "corr_spy_tlt_20d"), ("HYG", "corr_spy_hyg_20d")):
        if symbol in returns:
            out[name] = r.rolling(20).corr(returns[symbol].reindex(r.index))
    realised = np.sqrt((r**2).rolling(5).sum())
    for q in (33, 67):
        out[f"rv5_q{q}"] = realised.expanding(500).quantile(q / 100)
    return out


def compare(features: pl.DataFrame, plain: pd.DataFrame) -> int:
    """Return how many columns agree; stop if one does not, for then the ratio means nothing."""
    ours = features.to_pandas().set_index("date")
    for name in plain.columns:
        a, b = ours[name].to_numpy(), plain[name].to_numpy()
        both = ~(np.isnan(a) | np.isnan(b))
        gap = np.abs(a[both] - b[both]) / np.maximum(np.abs(b[both]), 1e-3)
        # pandas' own rolling moments and correlations drift by about 1e-8 over decades.
        drift = TOLERANCE if name.startswith(("spy_ret", "rv5", "d")) else 1e-5
        if not both.any() or gap.max() > drift:
            worst = gap.max() if both.any() else float("nan")
            raise SystemExit(f"{name}: pandas and ours differ by {worst:.1e}; no ratio is printed")
    return len(plain.columns)


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("step", "seconds", title=f"{result['symbols']} symbols, {result['bars']:,} bars")
    for name, seconds in result["seconds"].items():
        table.add_row(name, f"{seconds:.3f}")
    table.add_row("pandas, some columns", f"{result['pandas_seconds']:.3f}")
    console.print(table)
    console.print(
        f"pandas takes {result['pandas_over_ours']:.1f} times as long for "
        f"{result['columns_compared']} of our columns; peak {result['peak_memory_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main()
