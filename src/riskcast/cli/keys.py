"""Commands on API keys and on the certificate of https."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from riskcast.cli.progress import console
from riskcast.core.settings import read_settings

keys = typer.Typer(help="API keys, and a certificate for https.", no_args_is_help=True)


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


@keys.command("tls")
def tls(
    name: Annotated[
        list[str] | None, typer.Argument(help="Names and addresses under which clients come.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days until the certificate expires.")] = 397,
) -> None:
    """Make a certificate for https, signed by a local authority that clients can trust.

    Run it again to renew: the authority stays. A running nginx takes it at `riskcast down`, `up`.
    """
    from riskcast.standalone.tls import issue

    issued = issue(read_settings().keys_path, ("localhost", "127.0.0.1", *(name or ())), days)
    typer.echo(f"export RISKCAST_TLS_CERTIFICATE={issued.certificate}")
    typer.echo(f"export RISKCAST_TLS_KEY={issued.key}")
    console.print(f"clients trust it by {issued.authority}, as in curl --cacert", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(keys, name="keys")
