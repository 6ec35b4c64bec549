"""Commands on models: list and promote."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from riskcast.cli.door import client_settings
from riskcast.cli.progress import console
from riskcast.products import PRODUCTS
from riskcast.products import product as find_product

PRODUCT = Annotated[str, typer.Option(help="Product; the first one declared when left out.")]
models = typer.Typer(help="List, inspect and promote model versions.", no_args_is_help=True)


def _name(name: str) -> str:
    return find_product(name or next(iter(PRODUCTS))).name


@models.command("list")
def list_versions(product: PRODUCT = "") -> None:
    """List versions with their aliases and what they were trained on."""
    from riskcast.registry import Registry

    table = Table("version", "aliases", "recipe", "fit_end", "qlike", "digest", box=None)
    for version in Registry(client_settings()).versions(_name(product)):
        tags = version.tags
        table.add_row(
            str(version.version),
            ", ".join(version.aliases),
            tags.get("recipe", ""),
            tags.get("fit_end", ""),
            tags.get("qlike", ""),
            tags.get("digest", "")[:12],
        )
    typer.echo(_text(table))


def _text(table: Table) -> str:
    from rich.console import Console

    plain = Console(width=120, highlight=False)
    with plain.capture() as captured:
        plain.print(table)
    return captured.get().rstrip()


@models.command("promote")
def promote(
    version: Annotated[str, typer.Argument(help="Version to make champion.")],
    why: Annotated[str, typer.Option(help="Reason, kept in the ledger.")],
    product: PRODUCT = "",
) -> None:
    """Make a version the champion; servers pick it up within seconds."""
    from riskcast.jobs.promote import promote_version
    from riskcast.lake import open_lake
    from riskcast.registry import Registry

    settings = client_settings()
    promote_version(
        Registry(settings), open_lake(settings), _name(product), version, who="cli", why=why
    )
    console.print(f"version {version} is champion")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(models, name="models")
