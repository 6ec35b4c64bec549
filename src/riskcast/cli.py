"""The riskcast command."""

import typer

app = typer.Typer(help=__doc__)
