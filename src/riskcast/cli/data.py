"""Commands on pipelines and tables: run, tables, products, docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from riskcast.cli.door import client_settings
from riskcast.cli.progress import console, display
from riskcast.core.errors import LakeError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import PIPELINES, Pipeline, Step, pipeline
from riskcast.products import PRODUCTS
from riskcast.runner import StepReport
from riskcast.tables import TABLES

START = Annotated[str, typer.Option(help="ISO date or UTC instant; rows known after it.")]
GIVEN = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE of a parameter of the pipeline.")
]
END = Annotated[str, typer.Option(help="ISO date (included) or UTC instant; the run's as-of.")]


def run(
    name: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline.")],
    step: Annotated[str, typer.Argument(help="One step; all in order when left out.")] = "",
    member: Annotated[
        str, typer.Option(help="One member of a step that has any; all when left out.")
    ] = "",
    start: START = "1960-01-01",
    end: END = "",
    days: Annotated[int, typer.Option(help="Start so many days before the end instead.")] = 0,
    given: GIVEN = None,
    run_id: Annotated[
        str, typer.Option(help="Leave in the lake, under this run, how each step has ended.")
    ] = "",
    backfill: Annotated[
        bool, typer.Option(help="Repeat the past: announce, send and deploy nothing.")
    ] = False,
) -> None:
    """Run a pipeline, or one of its steps, for a window."""
    from riskcast.runner import Ports, run_pipeline, write_manifest

    settings = client_settings()
    asked = pipeline(name)
    with display() as shown:
        ports = Ports(
            settings, progress=shown.part, params=_params(asked, given or []), backfill=backfill
        )
        window = Window.parse(start, end or ports.source.newest())
        if days:
            window = Window(window.end - timedelta(days=days), window.end)
        console.print(f"[bold]{name}[/bold] {window.start:%Y-%m-%d} → {window.end:%Y-%m-%d %H:%M}Z")

        def done(report: StepReport) -> None:
            shown.step_done(report)
            if run_id:
                write_manifest(settings, asked.name, run_id, window, report, member=member)

        def started(each: Step) -> None:
            begun.append(each.name)
            shown.step_started(each)

        with _told(settings, asked, run_id, member) as begun:
            run_pipeline(
                asked,
                window,
                ports,
                only=step,
                member=member,
                on_start=started,
                on_done=done,
                on_skip=shown.step_skipped,
            )


@contextmanager
def _told(settings: Settings, asked: Pipeline, run_id: str, member: str) -> Iterator[list[str]]:
    """Leave in the lake what the last step begun, of the names the block is to add, fails of."""
    from riskcast.runner import write_failure

    begun: list[str] = []
    try:
        yield begun
    except Exception as error:
        if run_id and begun:
            try:
                write_failure(settings, asked.name, run_id, begun[-1], error, member=member)
            except LakeError as lost:  # the step's own failure is what counts
                console.print(f"what failed could not be left behind: {escape(str(lost))}")
        raise


def _params(asked: Pipeline, given: list[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` options as a mapping; empty values count as not given."""
    params = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or name not in asked.params:
            known = ", ".join(asked.params) or "none"
            raise typer.BadParameter(f"--set {each}: {asked.name} takes {known}, as NAME=VALUE")
        if value:
            params[name] = value
    return params


def snapshots() -> None:
    """Write the files of instants that Airflow's timetables read."""
    from riskcast.core.snapshots import FOLDER
    from riskcast.jobs.snapshots import write_snapshots
    from riskcast.runner import Ports
    from riskcast.tables.bronze import RELEASE_CALENDAR

    settings = client_settings()
    ports = Ports(settings)
    calendar = ports.lake.read(RELEASE_CALENDAR)
    write_snapshots(calendar, settings=settings, source=ports.source)
    typer.echo(settings.home_path / FOLDER)


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
    what: Annotated[
        str, typer.Argument(help="data: the site of the lake's tables and checks.")
    ] = "",
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a page is stale.")] = False,
) -> None:
    """Write the generated pages of docs/ from the declarations, or the data docs of the lake."""
    from riskcast.cli.reference import pages

    if what == "data":
        from riskcast.jobs.data_pages import build_data_docs
        from riskcast.lake import open_lake

        settings = client_settings()
        typer.echo(build_data_docs(open_lake(settings), settings))
        return
    if what:
        raise typer.BadParameter(f"{what!r}: leave it out, or say data")

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
    for command in (run, snapshots, tables, pipelines, products, docs):
        app.command()(command)
