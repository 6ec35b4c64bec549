"""The command backfill: a past range again, as the schedule would have run it."""

from __future__ import annotations

from typing import Annotated

import typer

from riskcast.cli.data import END, START
from riskcast.cli.door import client_settings
from riskcast.cli.progress import console, display
from riskcast.core.clock import seconds
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import Pipeline, pipeline

RUN_SECONDS = 900.0  # for one window, in Airflow


def backfill(
    name: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline.")],
    start: START,
    end: END,
    again: Annotated[
        bool, typer.Option(help="In Airflow: run windows again that it has run before.")
    ] = True,
    direct: Annotated[bool, typer.Option(help="In this process, even beside the stack.")] = False,
) -> None:
    """Run a past range window by window; no mail, event or deployment comes of it."""
    from riskcast.jobs.backfill import windows
    from riskcast.standalone import running

    asked, settings = pipeline(name), client_settings()
    cut = windows(asked, Window.parse(start, end))
    console.print(
        f"[bold]{name}[/bold] {len(cut)} windows, {cut[0].end:%Y-%m-%d} → {cut[-1].end:%Y-%m-%d}; "
        "a backfill sends no mail, makes no event and deploys nothing"
    )
    began = seconds()
    if running(settings) and not direct:
        _in_airflow(settings, asked, cut, again=again)
    else:
        _here(settings, asked, cut)
    took = seconds() - began
    console.print(f"{len(cut)} windows in {took:.1f} s, {took / len(cut):.1f} s each")


def _here(settings: Settings, asked: Pipeline, cut: list[Window]) -> None:
    from riskcast.runner import Ports, run_pipeline

    for window in cut:
        console.print(f"to {window.end:%Y-%m-%d %H:%M}Z")
        with display() as shown:
            run_pipeline(
                asked,
                window,
                Ports(settings, progress=shown.part, backfill=True),
                on_start=shown.step_started,
                on_done=shown.step_done,
                on_skip=shown.step_skipped,
            )


def _in_airflow(settings: Settings, asked: Pipeline, cut: list[Window], *, again: bool) -> None:
    from riskcast.jobs.airflow_api import Airflow
    from riskcast.standalone import airflow_password, airflow_url

    airflow = Airflow(airflow_url(settings), "admin", airflow_password(settings))
    airflow.await_dag(asked.name)
    # Airflow names an interval by its start.
    made = airflow.create_backfill(asked.name, cut[0].start, cut[-1].start, again=again)
    airflow.unpause(asked.name)
    with display() as shown:
        airflow.await_backfill(made, seconds=RUN_SECONDS * len(cut), progress=shown.tasks)
    airflow.close()


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(backfill)
