"""HTML of the pages of monitoring runs, and how they get to the folder that is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path

import numpy as np
import polars as pl

from riskcast.monitoring.explained import agreement
from riskcast.monitoring.findings import ALARM, WARN
from riskcast.products import Product

INDEX = "index.html"
STYLE = (
    "font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;"
    "color:#111827;background:#fff"
)
CELL = "style='text-align:left;padding:3px 12px 3px 0;border-bottom:1px solid #e5e7eb'"


def write(folder: Path, name: str, html: str, top: str) -> None:
    """Write Evidently's page with our own part on top, and its library once beside all pages."""
    import evidently
    from evidently.legacy.utils.dashboard import STATIC_PATH

    library = (Path(STATIC_PATH) / "index.js").read_text(encoding="utf-8")
    script = f"evidently-{evidently.__version__}.js"
    if not (folder / script).exists():
        replace(folder / script, library)
    # 3.5 MB of 5, and the same for every page.
    html = html.replace(f"<script>{library}</script>", f"<script src='{script}'></script>", 1)
    replace(folder / name, html.replace("<body>", f"<body>{top}", 1))


def replace(path: Path, text: str) -> None:
    """Write the file whole or not at all: it is served while it is replaced."""
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def back() -> str:
    """Return the link to all pages."""
    return f"<section style='{STYLE}'><a href='{INDEX}'>All reports</a></section>"


def verdicts(latest: pl.DataFrame, product: Product, day: date) -> str:
    """Return the section of what was found at a session, the worst on top."""
    order = pl.col("verdict").replace_strict({"alarm": 0, "warn": 1, "ok": 2})
    rows = [
        (r["check"], r["subject"], r["verdict"], r["why"])
        for r in latest.sort(order, "check", "subject").iter_rows(named=True)
    ]
    return (
        f"<section style='{STYLE}'><h1>{escape(product.name)} {day}</h1>"
        "<p>Verdicts against bounds from each series' own past. The tests further below hold the "
        "same sessions against one fixed limit for all, which persistent series pass most weeks; "
        f"nothing follows from those.</p>{table(('check', 'subject', 'verdict', 'why'), rows)}"
        "</section>"
    )


def drivers(shares: pl.DataFrame) -> str:
    """Return the section of what moved the forecasts; empty while there are too few."""
    if shares.is_empty():
        return ""
    rows = [(r[0], f"{r[1]:.0f}%", f"{r[2]:.0f}%") for r in shares.iter_rows()]
    same = agreement(shares)
    said = "" if np.isnan(same) else f" Rank correlation {same:.2f}; 1 is the same order."
    return (
        f"<section style='{STYLE}'><h2>What moved the forecasts</h2>"
        "<p>Share of each driver in the absolute SHAP effects published with the forecasts, the "
        f"newest sessions beside as many before.{said}</p>"
        f"{table(('driver', 'now', 'before'), rows)}</section>"
    )


def quality(figures: Mapping[str, list[dict[str, object]]], link: str, count: int) -> str:
    """Return the section of how published forecasts turned out."""
    # Evidently names a metric with all its parameters.
    rows = [
        (str(m["metric_name"]).partition("(")[0], _number(m["value"])) for m in figures["metrics"]
    ]
    return (
        f"<section style='{STYLE}'><h2>Realised quality of published forecasts</h2>"
        f"<p>{count} forecasts with their outcome. <a href='{link}'>Figures and plots</a></p>"
        f"{table(('figure', 'value'), rows)}</section>"
    )


def _number(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_number(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """Return an HTML table; every cell is escaped."""
    top = "".join(f"<th {CELL}>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td {CELL}>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table style='border-collapse:collapse'><tr>{top}</tr>{body}</table>"


def alone(body: str) -> str:
    """Return sections of our own as a whole page."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Report</title></head>"
        f"<body>{body}</body></html>"
    )


def index(folder: Path, health: pl.DataFrame, quality_suffix: str) -> str:
    """Return the page of all pages, the newest first, with the alarms of their sessions."""
    pages = sorted((p for p in folder.glob("*.html") if p.name != INDEX), reverse=True)
    counts = {
        str(day): (alarms, warnings)
        for day, alarms, warnings in health.group_by(pl.col("at").dt.date())
        .agg(
            (pl.col("verdict") == ALARM).sum().alias("alarms"),
            (pl.col("verdict") == WARN).sum().alias("warnings"),
        )
        .iter_rows()
    }
    items = ""
    for each in pages:
        if each.stem.endswith(quality_suffix):
            continue
        said = ""
        if found := counts.get(each.stem[-10:]):
            alarms, warnings = found
            said = f" {_counted(alarms, 'alarm')}, {_counted(warnings, 'warning')}"
        items += f"<li><a href='{each.name}'>{escape(each.stem)}</a>{said}</li>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Reports</title></head>"
        f"<body style='{STYLE}'><h1>Monitoring reports</h1><ul>{items}</ul></body></html>"
    )


def _counted(number: int, what: str) -> str:
    """Return "1 alarm", "2 alarms"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
