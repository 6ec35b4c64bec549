"""Commands on API keys: create, list and revoke."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from riskcast.cli.progress import console
from riskcast.core.settings import read_settings

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will hold the key.")],
    scope: Annotated[
        list[str], typer.Option(help="predict, observe, monitor or admin; may be repeated.")
    ],
    days: Annotated[int, typer.Option(help="Days until it expires; 0 for never.", min=0)] = 0,
) -> None:
    """Print a new key, this once: only its hash is kept. Running servers take it at once."""
    from riskcast.serving.auth import issue_key

    lifetime = timedelta(days=days) if days else None
    typer.echo(issue_key(read_settings(), name, tuple(scope), lifetime))


@keys.command("list")
def list_keys() -> None:
    """List who holds a key, and what it opens."""
    from riskcast.serving.auth import stored_keys

    for entry in sorted(stored_keys(read_settings()), key=lambda entry: str(entry["name"])):
        until = entry.get("expires_at") or "never"
        typer.echo(f"{entry['name']:<24} {','.join(entry['scopes']):<32} expires {until}")


@keys.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Whose key.")]) -> None:
    """Remove a key; running servers refuse it from the next request on."""
    from riskcast.serving.auth import revoke_key

    revoke_key(read_settings(), name)
    console.print(f"the key of {name} opens nothing any more")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(keys, name="keys")
