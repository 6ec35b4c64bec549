"""Point in time: counts that show that nothing in the lake was used before it was known.

    python benchmarks/point_in_time.py --files DIR --json

Runs the data steps of market_daily once over all years and counts: vintages that came through,
releases that agree with the official calendar, releases on each side of daylight saving, macro
values of every session that differ from a plain walk over what New York had read before, and
values of past sessions that change when all later rows are taken away. Two leaks are planted and
counted by the same means, for a count of zero says nothing unless a leak would raise it. Without
--files the bundled sample is used.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from _common import BEGINNING, open_files, parser_of
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.features.daily import build_features
from riskcast.lake import MemoryLake
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_step
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR, SESSIONS
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market

STEPS = (
    "ingest_sessions",
    "ingest_market",
    "ingest_macro",
    "ingest_calendar",
    "curate_market",
    "curate_macro",
    "features",
)
NEW_YORK = ZoneInfo("America/New_York")
MONTHLY = {"cpi_yoy": ("CPIAUCSL", "CPILFESL", "CPIAUCNS"), "ism_pmi": ("ISM_MAN_PMI",),
           "unemp": ("UNRATE",)}  # fmt: skip
Z_SCORES = {"cpi_yoy": "cpi_yoy_z", "ism_pmi": "ism_pmi_z", "unemp": "unemp_rate_z"}
STALE = timedelta(days=75)
FIRST = date(1990, 1, 1)


def main() -> None:
    options = parse()
    console = Console(stderr=options.json, width=110)
    began = time.perf_counter()
    source, asset = open_files(options.files)
    evening = datetime.combine(
        date.fromisoformat(source.newest()) + timedelta(days=1), clock_time(), UTC
    )
    lake = ingested(options.files, Window(BEGINNING, evening))
    raw, sessions = lake.read(RAW_MACRO, all_vintages=True), lake.read(SESSIONS)
    sessions = sessions.filter(pl.col("session") >= FIRST)
    offered = source.fetch_macro(Window(BEGINNING, evening))
    result: dict[str, Any] = {
        "unrate": vintages(raw, offered, "UNRATE"),
        "macro": vintages(raw, offered, None),
        "cpi_calendar": calendar_agreement(raw, lake.read(RELEASE_CALENDAR), "CPIAUCSL", "cpi"),
        "unrate_calendar": calendar_agreement(raw, lake.read(RELEASE_CALENDAR), "UNRATE", "nfp"),
        "daylight_saving": daylight_saving(raw),
        "before_release": differing(align_macro(raw, sessions), raw),
        "future_rows": future_changes(lake, asset, options.cuts),
        "planted": {
            "counted from the day of the release": differing(
                align_macro(a_day_early(raw), sessions), raw
            ),
            "final vintages": differing(align_macro(final(raw), sessions), raw),
        },
    }
    result["seconds"] = time.perf_counter() - began
    show(result, console)
    if options.json:
        print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--cuts", type=int, default=25, help="past sessions that are made again")
    return parser.parse_args()


def ingested(files: Path | None, window: Window) -> MemoryLake:
    """Return a lake in which the data steps of market_daily ran once over the window."""
    lake = MemoryLake()
    settings = Settings(source="files" if files else "sample", files=str(files or ""))
    ports = Ports(settings, lake=lake)
    for step in MARKET_DAILY.ordered():
        if step.name in STEPS:
            run_step(step, window, ports)
    return lake


def vintages(raw: pl.DataFrame, offered: pl.DataFrame, series: str | None) -> dict[str, int]:
    """Return how many vintages the source has, the lake has, and both have alike."""
    mine = pl.lit(value=True) if series is None else pl.col("series_id") == series
    key = ["series_id", "macro_value_date", "release_datetime", "value"]
    stored, source = raw.filter(mine).select(key), offered.filter(mine).select(key)
    both = source.join(stored, on=key, how="semi", nulls_equal=True)
    return {"source": source.height, "lake": stored.height, "equal": both.height}


def calendar_agreement(
    raw: pl.DataFrame, calendar: pl.DataFrame, series: str, event: str
) -> dict[str, int]:
    """Return how many first prints have a scheduled release, and how many came at its instant."""
    first = (
        raw.filter(pl.col("series_id") == series)
        .group_by("macro_value_date")
        .agg(pl.col("release_datetime").min())
    )
    official = calendar.filter(pl.col("event") == event).drop_nulls("ref_period")
    pairs = first.join(
        official.select("ref_period", official="release_datetime"),
        left_on=pl.col("macro_value_date").dt.month_start(),
        right_on=pl.col("ref_period").dt.month_start(),
    )
    return {
        "compared": pairs.height,
        "equal": pairs.filter(pl.col("release_datetime") == pl.col("official")).height,
    }


def daylight_saving(raw: pl.DataFrame) -> dict[str, int]:
    """Return the 08:30 releases by side of daylight saving, and what they are at in UTC."""
    local = pl.col("release_datetime").dt.convert_time_zone(NEW_YORK.key)
    releases = raw.filter(pl.col("frequency") == "M").select(
        "release_datetime",
        local.dt.time().alias("local"),
        (local.dt.dst_offset() > timedelta(0)).alias("summer"),
    )
    releases = releases.unique().filter(pl.col("local") == clock_time(8, 30))
    utc = pl.col("release_datetime").dt.time()
    summer, winter = releases.filter("summer"), releases.filter(~pl.col("summer"))
    return {
        "winter": winter.height,
        "winter_at_1330_utc": winter.filter(utc == clock_time(13, 30)).height,
        "summer": summer.height,
        "summer_at_1230_utc": summer.filter(utc == clock_time(12, 30)).height,
    }


# A plain walk over the releases, which shares no code with what it checks.


def differing(aligned: pl.DataFrame, raw: pl.DataFrame) -> dict[str, int]:
    """Return how many macro values of all sessions are not those of what had been read before."""
    days = aligned["date"].to_list()
    wanted = dict(plain_columns(raw, days))
    counts = {"values": 0, "before_release": 0}
    for name, values in wanted.items():
        for found, want in zip(aligned[name].to_list(), values, strict=True):
            counts["values"] += 1
            counts["before_release"] += not same(found, want)
    return counts


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def plain_columns(raw: pl.DataFrame, days: list[date]) -> Iterator[tuple[str, list[float | None]]]:
    """Yield level and z-score of each monthly measure, session by session."""
    for name, preference in MONTHLY.items():
        walks = [walk(raw, series, days, yearly=name == "cpi_yoy") for series in preference]
        # The preferred series speaks from the day it first has something to say.
        speaks = [next((i for i, s in enumerate(w) if s.begun), len(days)) for w in walks]
        chosen = [
            next((w[i] for w, begin in zip(walks, speaks, strict=True) if begin <= i), NOTHING)
            for i in range(len(days))
        ]
        yield name, [state.level for state in chosen]
        yield Z_SCORES[name], [state.z for state in chosen]


@dataclass(frozen=True)
class State:
    """What a reader of all releases before a day would say of a series."""

    until: date = date.max
    level: float | None = None
    z: float | None = None
    begun: bool = False


NOTHING = State()


def state(known: dict[date, float], *, yearly: bool) -> State:
    measured = on_year(known) if yearly else known
    if not measured:
        return NOTHING
    newest = max(measured)
    window = [v for m, v in measured.items() if months(newest) - months(m) < 120]
    spread = float(np.std(window, ddof=1)) if len(window) >= 60 else 0.0
    z = (measured[newest] - float(np.mean(window))) / spread if spread > 1e-12 else None
    return State(month_end(newest) + STALE, measured[newest], z, begun=True)


def walk(raw: pl.DataFrame, series: str, days: list[date], *, yearly: bool) -> list[State]:
    rows = raw.filter(pl.col("series_id") == series).sort("release_datetime", "macro_value_date")
    releases = [
        (instant.astimezone(NEW_YORK).date(), month, value)
        for instant, month, value in rows.select(
            "release_datetime", "macro_value_date", "value"
        ).iter_rows()
    ]
    known: dict[date, float] = {}
    states, said = [], NOTHING
    read = 0
    for day in days:
        news = read
        while read < len(releases) and releases[read][0] < day:
            known[releases[read][1]] = releases[read][2]
            read += 1
        said = state(known, yearly=yearly) if read > news else said
        states.append(said if day <= said.until else NOTHING)
    return states


def on_year(known: dict[date, float]) -> dict[date, float]:
    before = {month: known.get(month.replace(year=month.year - 1)) for month in known}
    return {m: 100.0 * (v / b - 1.0) for m, v in known.items() if (b := before[m]) is not None}


def months(day: date) -> int:
    return 12 * day.year + day.month


def month_end(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


# The same session made from less.


def future_changes(lake: MemoryLake, asset: str, cuts: int) -> dict[str, int]:
    """Return how many values of past sessions change when all later rows are taken away."""
    whole = lake.read(FEATURES_DAILY)
    chosen = np.random.default_rng(17).choice(np.arange(1_300, whole.height), cuts, replace=False)
    counts = {"sessions": 0, "values": 0, "changed": 0}
    for i in sorted(chosen.tolist()):
        row = whole[i]
        known_at = row["known_at"][0]
        sessions = lake.read(SESSIONS, as_of=known_at)
        market = curate_market(lake.read(RAW_MARKET, as_of=known_at, all_vintages=True), sessions)
        macro = align_macro(lake.read(RAW_MACRO, as_of=known_at, all_vintages=True), sessions)
        again = build_features(market, macro, asset=asset).tail(1)
        names = [name for name in again.columns if name != "source"]
        counts["sessions"] += 1
        counts["values"] += len(names)
        counts["changed"] += sum(
            not again[n].cast(row[n].dtype).equals(row[n], null_equal=True) for n in names
        )
    return counts


def a_day_early(raw: pl.DataFrame) -> pl.DataFrame:
    """Planted: a release counts on the day it is made."""
    return raw.with_columns(pl.col("release_datetime") - timedelta(days=1))


def final(raw: pl.DataFrame) -> pl.DataFrame:
    """Planted: the final value in place of the first print."""
    last = pl.col("value").sort_by("release_datetime").last()
    return raw.with_columns(value=last.over("series_id", "macro_value_date"))


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("what", "count", title="Point in time")
    for name in ("unrate", "macro"):
        said = result[name]
        table.add_row(f"vintages of {name}", f"{said['equal']:,} of {said['source']:,} in the lake")
    for name in ("cpi", "unrate"):
        said = result[f"{name}_calendar"]
        table.add_row(f"{name} at its official instant", f"{said['equal']} of {said['compared']}")
    sides = result["daylight_saving"]
    for side, utc in (("winter", "1330"), ("summer", "1230")):
        at = sides[f"{side}_at_{utc}_utc"]
        table.add_row(f"08:30 releases in {side} at {utc} UTC", f"{at} of {sides[side]}")
    early = result["before_release"]
    table.add_row(
        "macro values before their release", f"{early['before_release']} of {early['values']:,}"
    )
    for leak, said in result["planted"].items():
        table.add_row(f"  planted: {leak}", f"{said['before_release']:,} of {said['values']:,}")
    later = result["future_rows"]
    table.add_row("past values changed by later rows", f"{later['changed']} of {later['values']:,}")
    console.print(table)
    console.print(f"{result['seconds']:.0f} seconds")


if __name__ == "__main__":
    main()
