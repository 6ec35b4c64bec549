"""Commands for what runs elsewhere: bundle for MWAA, schedules for EventBridge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from riskcast.core.settings import read_settings

schedule = typer.Typer(help="Schedules for machines without Airflow.", no_args_is_help=True)


def bundle(
    to: Annotated[Path, typer.Option(help="Folder, written anew.")] = Path("dist/mwaa"),
) -> None:
    """Build what Amazon MWAA is given: dags/, plugins.zip, requirements.txt, startup.sh."""
    from riskcast.jobs.bundle import build_bundle
    from riskcast.standalone.layout import repository

    typer.echo(build_bundle(read_settings(), repository(), to))


@schedule.command()
def export() -> None:
    """Print EventBridge Scheduler targets, one ECS task per pipeline, as JSON for Terraform."""
    from riskcast.jobs.eventbridge import targets

    typer.echo(json.dumps(targets(), indent=2, sort_keys=True))


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(bundle)
    app.add_typer(schedule, name="schedule")
