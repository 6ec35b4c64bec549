"""The data docs as plain HTML: an index and a page per table. Nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

import polars as pl

from riskcast.core.clock import Clock
from riskcast.core.settings import Settings
from riskcast.jobs.data_docs import DETAILS, TableFacts, collect, held_back
from riskcast.lake import Lake

COMMITS = 20
HELD = 200
LONG = 120  # characters from which a cell may break inside a word
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d232a; background: #fff;
       margin: 2rem auto; max-width: 84rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #e3e7ec;
         vertical-align: top; }
th { font-weight: 600; color: #57606a; } td.n { text-align: right; }
td.n, code { font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; } td.long { overflow-wrap: anywhere; }
a { color: #0550ae; } .good { color: #116329; } .bad { color: #a40e26; font-weight: 600; }
.quiet { color: #57606a; } img { max-width: 12rem; }
"""
HEADS = (
    "table", "what it is", "rows", "newest known", "age", "versions", "checks", "written by",
)  # fmt: skip


def build_data_docs(lake: Lake, settings: Settings) -> Path:
    """Write the data docs to <home>/docs/data; return the path of the index.

    Raises
    ------
    LakeError
        If a table cannot be read.
    """
    site = settings.home_path / "docs" / "data"
    (site / "tables").mkdir(parents=True, exist_ok=True)
    facts, clock = collect(lake, settings, site)
    held = held_back(lake)
    (site / "data.css").write_text(STYLE)
    for each in facts:
        (site / "tables" / f"{each.table.name}.html").write_text(table_page(each, clock))
    index = site / "index.html"
    index.write_text(index_page(facts, held, clock, settings.lake_root))
    return index


def index_page(facts: list[TableFacts], held: pl.DataFrame, clock: Clock, where: str) -> str:
    """Return the page that lists every table and the quarantine."""
    broken = sum(not f.passed for each in facts for f in each.findings)
    checks = sum(len(each.findings) for each in facts)
    verdict = _mark(broken == 0, f"{checks - broken} of {checks} checks passed")
    body = [
        "<h1>Data</h1>",
        f"<p>{verdict} · {len(facts)} tables in <code>{escape(where)}</code> · {_clock(clock)} · "
        f'<a href="{DETAILS}/index.html">every expectation</a></p>',
        _grid(HEADS, [_row(each, clock) for each in facts]),
        "<h2>Quarantine</h2>",
        _quarantine(held),
    ]
    return _page("Data", body, "")


def table_page(facts: TableFacts, clock: Clock) -> str:
    """Return the page of one table: columns, checks, commits."""
    table = facts.table
    columns = [
        (f"<code>{c.name}</code>", c.kind, "yes" if c.nullable else "", escape(c.doc))
        for c in table.every_column
    ]
    checks = [
        (_mark(f.passed, "passed" if f.passed else f"{f.broken:,} of {f.rows:,} rows"),
         escape(f.rule), f"<code>{escape(f.first)}</code>" if f.first else "")
        for f in sorted(facts.findings, key=lambda finding: finding.passed)
    ]  # fmt: skip
    commits = [
        (str(c.version), f"{c.at:%Y-%m-%d %H:%M:%S}Z", escape(c.operation))
        for c in facts.commits[:COMMITS]
    ]
    body = [
        '<p><a href="../index.html">Data</a></p>',
        f"<h1>{escape(table.name)}</h1>",
        f"<p>{escape(table.doc)} Key {', '.join(table.key)}; {_age(facts, clock)}.</p>",
        f"<p>Written by {_steps(facts.writers)}. Read by {_steps(facts.readers)}.</p>",
        "<h2>Checks</h2>",
        _grid(("", "rule", "first row that breaks it"), checks),
        "<h2>Columns</h2>",
        _grid(("column", "kind", "null", "meaning"), columns),
        "<h2>Newest versions</h2>",
        _grid(("version", "committed", "operation"), commits),
    ]
    return _page(table.name, body, "../")


def _row(facts: TableFacts, clock: Clock) -> tuple[str, ...]:
    broken = sum(not f.passed for f in facts.findings)
    said = f"{broken} broken" if broken else f"{len(facts.findings)} passed"
    return (
        f'<a href="tables/{facts.table.name}.html"><code>{facts.table.name}</code></a>',
        escape(facts.table.doc),
        f"{facts.rows:,}",
        f"{facts.newest:%Y-%m-%d %H:%M}Z" if facts.newest else "",
        _age(facts, clock),
        f"{len(facts.commits):,}",
        _mark(broken == 0, said) if facts.findings else "",
        _steps(facts.writers),
    )


def _age(facts: TableFacts, clock: Clock) -> str:
    if facts.newest is None:
        said = "no rows" if facts.commits else "never written"
        return f'<span class="quiet">{said}</span>'
    hours = max(0.0, (clock.now() - facts.newest).total_seconds() / 3600)
    said = f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"
    if facts.table.fresh is None:
        return said
    allowed = f"{facts.table.fresh.total_seconds() / 3600:.0f} h allowed"
    return _mark(not facts.stale, f"{said}, {allowed}")


def _clock(clock: Clock) -> str:
    return f"{clock.mode} clock, {clock.now():%Y-%m-%d %H:%M}Z"


def _quarantine(held: pl.DataFrame) -> str:
    if held.is_empty():
        return "<p>Empty: no row was held back.</p>"
    rows = [
        (f"{r['at']:%Y-%m-%d}", escape(r["table"]), escape(r["rule"]), escape(r["reason"]),
         f"<code>{escape(r['row'])}</code>")
        for r in held.head(HELD).iter_rows(named=True)
    ]  # fmt: skip
    return f"<p>{held.height:,} rows held back.</p>" + _grid(
        ("met", "table", "rule", "reason", "row"), rows
    )


def _steps(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in names) or "no step"


def _mark(good: bool, text: str) -> str:
    return f'<span class="{"good" if good else "bad"}">{escape(text)}</span>'


def _grid(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return f'<td class="long">{text}</td>' if len(text) > LONG else f"<td>{text}</td>"


def _page(title: str, body: Iterable[str], up: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<link rel="stylesheet" href="{up}data.css"></head><body>{"".join(body)}</body></html>'
    )
