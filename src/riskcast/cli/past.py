"""Commands on what was published: replay and lineage."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer
from rich.table import Table

from riskcast.cli.door import client_settings
from riskcast.cli.progress import answer
from riskcast.core.errors import SettingsError
from riskcast.products import PRODUCTS

DIFFERENT = 5


def replay(
    day: Annotated[str, typer.Option("--date", help="Session, ISO date.")],
) -> None:
    """Make a past session again from what was known then; exit code 5 if a bit differs."""
    from riskcast.jobs.replay import replay as make_again
    from riskcast.lake import open_lake
    from riskcast.registry import Registry

    settings = client_settings()
    try:
        session = date.fromisoformat(day)
    except ValueError as error:
        raise SettingsError(f"--date {day!r} is no ISO date, e.g. 2018-12-31") from error
    found = make_again(
        session,
        lake=open_lake(settings),
        registry=Registry(settings),
        product=next(iter(PRODUCTS.values())),
        asset=settings.asset_symbol,
    )
    compared = ", ".join(f"{count} values of {name}" for name, count in found.compared.items())
    answer.print(f"{found.symbol} {found.session} as known {found.known_at:%Y-%m-%d %H:%M}Z")
    whose = f"; forecasts of {', '.join(found.slots)}" if found.slots else ""
    answer.print(f"compared {compared}{whose}")
    for note in found.notes:
        answer.print(f"note: {note}", markup=False)
    if found.equal:
        answer.print("equal to the bit")
        return
    grid = Table("table", "column", "published", "rebuilt", box=None)
    for each in found.differences:
        grid.add_row(each.table, each.column, repr(each.published), repr(each.rebuilt))
    answer.print(grid)
    raise typer.Exit(DIFFERENT)


def lineage(
    prediction: Annotated[str, typer.Option(help="SYMBOL:DATE[:SLOT], e.g. SPY:2018-12-31.")],
) -> None:
    """Print what a published forecast was made from."""
    from riskcast.jobs.lineage import parse_prediction, prediction_lineage
    from riskcast.lake import open_lake
    from riskcast.registry import Registry

    settings = client_settings()
    asked = parse_prediction(prediction)
    found = prediction_lineage(open_lake(settings), *asked)
    row, version = found.row, found.row["model_version"]
    product = next(iter(PRODUCTS.values())).name
    known = {v.version: v.tags for v in Registry(settings).versions(product)}
    tags = known.get(version, {})
    for name, value in (
        (
            "prediction",
            f"{row['symbol']} {row['date']} {row['slot']}: rv_5d_hat {row['rv_5d_hat']}",
        ),
        ("known at", f"{row['known_at']:%Y-%m-%d %H:%M}Z"),
        ("written at", f"{row['ingested_at']:%Y-%m-%d %H:%M:%S}Z"),
        ("model", f"{product} version {version}, fit to {tags.get('fit_end', 'unknown')}"),
        ("recipe", tags.get("recipe", "unknown")),
        ("digest", found.digest),
        ("code", found.code),
        ("environment", found.environment),
    ):
        answer.print(f"{name:<12}{value}", markup=False)
    grid = Table("table", "version", "committed", "operation", box=None)
    for name, number in found.versions.items():
        commit = found.commits[name]
        grid.add_row(
            name,
            "none" if number is None else str(number),
            f"{commit.at:%Y-%m-%d %H:%M:%S}Z" if commit else "unknown",
            commit.operation if commit else "unknown",
        )
    answer.print(grid)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (replay, lineage):
        app.command()(command)
