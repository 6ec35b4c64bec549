"""Commands on skill: report and search."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from riskcast.cli.door import client_settings
from riskcast.cli.progress import display
from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings
from riskcast.products import PRODUCTS, Product
from riskcast.products import product as find_product

PRODUCT = Annotated[str, typer.Option(help="Product; the first one declared when left out.")]


def report(
    start: Annotated[str, typer.Option(help="First session reported; all when left out.")] = "",
    product: PRODUCT = "",
) -> None:
    """Evaluate every candidate, challengers too, and write <home>/reports/skill_*.html."""
    from riskcast.jobs.report import write_report
    from riskcast.lake import open_lake

    settings = client_settings()
    asked, lake = _product(product, settings), open_lake(settings)
    since = _day(start) if start else None
    with display() as shown:
        path = write_report(
            lake.read(asked.features),
            lake.read(asked.labels),
            asked,
            settings.home_path / "reports",
            start=since,
            cores=int(settings.cores),
            progress=shown.part,
        )
    typer.echo(path)


def search(
    candidate: Annotated[str, typer.Argument(help="Candidate whose parameters to search.")],
    minutes: Annotated[float, typer.Option(help="When to stop.")] = 10.0,
    product: PRODUCT = "",
) -> None:
    """Search parameters on 2004-2014 only; stop any time, the study goes on where it stopped."""
    from riskcast.jobs.search import search as find
    from riskcast.lake import open_lake

    settings = client_settings()
    asked, lake = _product(product, settings), open_lake(settings)
    settings.home_path.mkdir(parents=True, exist_ok=True)
    with display() as shown:
        found = find(
            asked,
            candidate,
            lake.read(asked.features),
            lake.read(asked.labels),
            storage=f"sqlite:///{settings.home_path / 'search.db'}",
            budget=60 * minutes,
            cores=int(settings.cores),
            progress=shown.part,
        )
    typer.echo(json.dumps(asdict(found)))


def _product(name: str, settings: Settings) -> Product:
    return find_product(name or next(iter(PRODUCTS))).with_regimes(settings.regimes)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--start {text!r} is no date; give one like 2004-01-01") from error


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(report)
    app.command()(search)
