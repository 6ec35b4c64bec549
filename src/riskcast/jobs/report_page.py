"""HTML of the skill report: its frame, figures and tables. It loads nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import polars as pl

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1080px; margin: 2em auto;
  padding: 0 1em; }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 13px; }}
th, td {{ padding: 3px 10px; text-align: right; border-bottom: 1px solid #e5e7eb; }}
th:first-child, td:first-child {{ text-align: left; }}
tr.pool {{ font-weight: 600; background: #eff6ff; }}
p.note {{ color: #6b7280; }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""
QUIET = {"displayModeBar": False}


def plot(figure: Any, *, first: bool = False) -> str:
    """Return a Plotly figure; the first one of a page brings the library."""
    # The library is written into the page once: it must open without a network.
    return str(figure.to_html(full_html=False, include_plotlyjs=first, config=QUIET))


def table_of(frame: pl.DataFrame, bold: str) -> str:
    """Return a table of the frame; the row whose first cell is `bold` stands out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in frame.columns)
    body = "".join(
        f"<tr{' class=pool' if row[0] == bold else ''}>"
        + "".join(f"<td>{escape(_cell(value))}</td>" for value in row)
        + "</tr>"
        for row in frame.iter_rows()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)
