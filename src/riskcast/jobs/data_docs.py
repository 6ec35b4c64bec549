"""What the lake holds and what its suites find in it, collected for the data docs."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from riskcast.core.clock import Clock
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.check import required_symbols, suites
from riskcast.lake import Lake
from riskcast.lake.base import Commit
from riskcast.lake.suites import CALENDAR, Finding, audit, declared_suite
from riskcast.pipelines import PIPELINES, Step
from riskcast.products import PRODUCTS
from riskcast.tables import TABLES, Table
from riskcast.tables.bronze import QUARANTINE, SESSIONS
from riskcast.tables.silver import MACRO_ALIGNED, MARKET_DAILY

DETAILS = "expectations"  # folder of the pages that Great Expectations makes
OUTSIDE = re.compile(
    r"<script[^>]*\bsrc=\"http[^>]*>.*?</script>"
    r"|<(?:link|img)[^>]*\b(?:href|src)=\"http[^>]*>",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is to be said of one table.

    Attributes
    ----------
    newest : datetime or None
        When its newest row became known.
    stale : bool
        Whether that is longer ago than the table allows.
    writers, readers : tuple of str
        Steps, as ``pipeline.step``.
    """

    table: Table
    rows: int
    newest: datetime | None
    stale: bool
    commits: tuple[Commit, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    findings: tuple[Finding, ...]


def collect(lake: Lake, settings: Settings, site: Path) -> tuple[list[TableFacts], Clock]:
    """Return the facts of every declared table; build Great Expectations' own pages below `site`.

    The clock is that of the data: the wall's where data keeps arriving, else the instant at which
    the newest row of silver became known.
    """
    frames = {table.name: lake.read(table) for table in TABLES.values()}
    newest = {name: _newest(frame) for name, frame in frames.items()}
    ends = [at for name in (MARKET_DAILY.name, MACRO_ALIGNED.name) if (at := newest[name])]
    clock = Clock() if settings.live or not ends else Clock.sample(max(ends))
    findings = _audit(frames, settings, clock.now(), site / DETAILS)
    facts = [
        TableFacts(
            table,
            frames[table.name].height,
            newest[table.name],
            _is_stale(table, newest[table.name], clock),
            lake.history(table),
            _steps(table, "writes"),
            _steps(table, "reads"),
            tuple(f for f in findings if f.suite in _suites_of(table)),
        )
        for table in TABLES.values()
    ]
    return facts, clock


def held_back(lake: Lake) -> pl.DataFrame:
    """Return the rows in quarantine, newest first."""
    return lake.read(QUARANTINE).sort("known_at", "row", descending=True)


def _audit(
    frames: dict[str, pl.DataFrame], settings: Settings, now: datetime, details: Path
) -> list[Finding]:
    window = Window(datetime(1900, 1, 1, tzinfo=now.tzinfo), now)
    product = next(iter(PRODUCTS.values()))
    market, macro, sessions = (frames[t.name] for t in (MARKET_DAILY, MACRO_ALIGNED, SESSIONS))
    required = required_symbols(product, settings.asset_symbol)
    asked = suites(market, macro, sessions, required, window)
    named = {suite.name for suite, _ in asked}
    for table in TABLES.values():
        frame = frames[table.name]
        if table.name not in named and not frame.is_empty():
            asked.append((declared_suite(table), frame.drop("ingested_at")))
    shutil.rmtree(details, ignore_errors=True)  # each build adds pages under its own instant
    found = audit([(s, f) for s, f in asked if not f.is_empty()], details)
    _keep_inside(details)
    return found


def _keep_inside(folder: Path) -> None:
    """Take what the pages would fetch from elsewhere out of them: they are read offline."""
    style = '<link rel="stylesheet" href="{}data.css">'
    for page in folder.rglob("*.html"):
        up = "../" * len(page.relative_to(folder).parts)
        text = OUTSIDE.sub("", page.read_text())
        page.write_text(text.replace("</head>", style.format(up) + "</head>", 1))


def _newest(frame: pl.DataFrame) -> datetime | None:
    known = frame["known_at"].max()
    return known if isinstance(known, datetime) else None


def _is_stale(table: Table, newest: datetime | None, clock: Clock) -> bool:
    if table.fresh is None:
        return False
    return newest is None or clock.now() - newest > table.fresh


def _steps(table: Table, side: str) -> tuple[str, ...]:
    return tuple(
        f"{pipeline.name}.{step.name}"
        for pipeline in PIPELINES.values()
        for step in pipeline.steps
        if table in ((*step.writes, *step.commits) if side == "writes" else _read_by(step))
    )


def _read_by(step: Step) -> tuple[Table, ...]:
    return tuple(read.table for read in step.reads)


def _suites_of(table: Table) -> tuple[str, ...]:
    return (table.name, CALENDAR) if table == MARKET_DAILY else (table.name,)
