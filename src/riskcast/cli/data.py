"""Commands on pipelines and tables: run, tables, products, docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from riskcast.cli.door import client_settings
from riskcast.cli.progress import console, display
from riskcast.core.window import Window
from riskcast.pipelines import PIPELINES, pipeline
from riskcast.products import PRODUCTS
from riskcast.tables import TABLES

START = Annotated[str, typer.Option(help="ISO date or UTC instant; rows known after it.")]
END = Annotated[str, typer.Option(help="ISO date (included) or UTC instant; the run's as-of.")]


def run(
    name: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline.")],
    step: Annotated[str, typer.Argument(help="One step; all in order when left out.")] = "",
    start: START = "1960-01-01",
    end: END = "",
) -> None:
    """Run a pipeline, or one of its steps, for a window."""
    from riskcast.runner import Ports, run_pipeline

    settings = client_settings()
    asked = pipeline(name)
    with display() as shown:
        ports = Ports(settings, progress=shown.part)
        window = Window.parse(start, end or ports.source.newest())
        console.print(f"[bold]{name}[/bold] {window.start:%Y-%m-%d} → {window.end:%Y-%m-%d %H:%M}Z")
        run_pipeline(
            asked, window, ports, only=step, on_start=shown.step_started, on_done=shown.step_done
        )


def tables(
    name: Annotated[str, typer.Argument(help="One table; all when left out.")] = "",
) -> None:
    """List tables, or the columns of one."""
    from riskcast.tables import table

    if name:
        for column in table(name).every_column:
            typer.echo(f"{column.name:<24} {column.kind:<8} {column.doc}")
        return
    for each in TABLES.values():
        typer.echo(f"{each.layer:<7} {each.name:<32} {each.doc}")


def pipelines() -> None:
    """List pipelines and their steps."""
    for each in PIPELINES.values():
        typer.echo(f"{each.name}: {', '.join(step.name for step in each.ordered())}")


def products() -> None:
    """List products as JSON."""
    said = {
        p.name: {"doc": p.doc, "recipe": p.recipe, "benchmark": p.benchmark, "pool": p.pool}
        for p in PRODUCTS.values()
    }
    typer.echo(json.dumps(said, indent=2))


def docs(
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a page is stale.")] = False,
) -> None:
    """Write the generated pages of docs/ from the declarations."""
    from riskcast.cli.reference import pages

    root = Path("docs")
    stale = []
    for name, text in pages().items():
        path = root / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale and check:
        console.print(f"stale: {', '.join(stale)}; run `riskcast docs`")
        raise typer.Exit(1)
    console.print(f"docs: {len(stale)} written" if stale else "docs: up to date")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (run, tables, pipelines, products, docs):
        app.command()(command)
