"""The riskcast command. Data goes to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 a named error, 4 a gate refused the candidate,
5 a replay differs from what was published.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from riskcast import __version__
from riskcast.cli.backfill import add_to as add_backfill
from riskcast.cli.backup import add_to as add_backup
from riskcast.cli.bundle import add_to as add_bundle
from riskcast.cli.data import add_to as add_data
from riskcast.cli.demo import add_to as add_demo
from riskcast.cli.doctor import add_to as add_doctor
from riskcast.cli.keys import add_to as add_keys
from riskcast.cli.mail import add_to as add_mail
from riskcast.cli.models import add_to as add_models
from riskcast.cli.past import add_to as add_past
from riskcast.cli.rollout import add_to as add_rollout
from riskcast.cli.skill import add_to as add_skill
from riskcast.cli.stack import add_to as add_stack
from riskcast.core import redaction
from riskcast.core.errors import GateRefused, RiskcastError

app = typer.Typer(
    help="Forecast market risk every trading day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for add in (
    add_backfill,
    add_backup,
    add_bundle,
    add_data,
    add_demo,
    add_doctor,
    add_keys,
    add_mail,
    add_models,
    add_past,
    add_rollout,
    add_skill,
    add_stack,
):
    add(app)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command; a named error is one line, with where its cure stands at the end."""
    redaction.install()
    try:
        app()
    except RiskcastError as error:
        said = escape(redaction.redact(str(error)))
        Console(stderr=True, highlight=False).print(
            f"[red]error[/red] \\[{error.code}] {said}"
            f" [dim](docs/reference/errors.md#{error.code})[/dim]",
            soft_wrap=True,
        )
        sys.exit(4 if isinstance(error, GateRefused) else 3)
