"""Commands on mails: look at one before anybody is sent it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from riskcast.cli.door import client_settings
from riskcast.products import PRODUCTS
from riskcast.products import product as find_product

mail = typer.Typer(help="Look at the mails that monitoring sends.", no_args_is_help=True)


@mail.command("preview")
def preview(
    kind: Annotated[
        str,
        typer.Argument(
            help="digest, deployment, failure, or a check that alarmed: drift, retrain, skill ..."
        ),
    ] = "digest",
    out: Annotated[Path, typer.Option(help="File to write the HTML to.")] = Path("mail.html"),
    product: Annotated[str, typer.Option(help="Product; the first one when left out.")] = "",
) -> None:
    """Write the newest mail of a kind as HTML and print its text."""
    from riskcast.jobs.letters import preview as find
    from riskcast.lake import open_lake
    from riskcast.tables import gold, output

    lake = open_lake(client_settings())
    asked = find_product(product or next(iter(PRODUCTS)))
    letter = find(
        kind,
        lake.read(output.HEALTH),
        lake.read(output.PREDICTIONS_DAILY),
        lake.read(gold.LABELS_DAILY),
        lake.read(output.DEPLOYMENTS),
        asked,
    )
    if letter is None:
        raise typer.BadParameter(f"{kind!r}: there is nothing to tell; run the pipeline monitor")
    out.write_text(letter.page(), encoding="utf-8")
    typer.echo(letter.mail().text)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(mail, name="mail")
