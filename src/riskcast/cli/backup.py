"""Commands that take a backup and put one back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from riskcast.cli.progress import console
from riskcast.core.clock import wall
from riskcast.core.settings import read_settings

COMPOSE = Annotated[bool, typer.Option("--compose", help="The stack in containers.")]
DIGEST = "SHA-256 of its manifest, as `backup` printed it."


def backup(
    to: Annotated[
        str, typer.Option(help="A file that ends in .tar, a folder, or s3://bucket/... of either.")
    ] = "backups",
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Also passwords and private keys, unencrypted.")
    ] = False,
    compose: COMPOSE = False,
) -> None:
    """Copy lake, registry, metadata and reports to one file; the stack may go on meanwhile."""
    from riskcast.standalone import compose_backup as containers
    from riskcast.standalone.backup import backup as take

    if compose:
        made = containers.backup(to, with_keys=with_keys, tell=_tell)
    else:
        made = take(read_settings(), to, with_keys=with_keys, tell=_tell)
    if with_keys:
        console.print("[yellow]it holds passwords and private keys: keep it as you keep them")
    typer.echo(made.path)
    typer.echo(f"sha256 {made.digest}")
    _tell(f"{made.size / 1e6:.1f} MB in {made.seconds:.1f} s")


def restore(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A backup, or its s3:// address.")],
    home: Annotated[
        str, typer.Option(help="Empty folder to restore into. Default: RISKCAST_HOME.")
    ] = "",
    sha256: Annotated[str, typer.Option(help=DIGEST)] = "",
    check: Annotated[bool, typer.Option("--check", help="Only read and compare it.")] = False,
    compose: COMPOSE = False,
) -> None:
    """Make an empty home what a backup was; `riskcast up` then serves what served before.

    With --compose it is the project in containers, which must be down and without volumes.
    """
    from riskcast.standalone import compose_backup as containers
    from riskcast.standalone.restore import restore as put_back
    from riskcast.standalone.restore import verify

    if compose and home:
        raise typer.BadParameter("--home is a folder's; containers keep their data in volumes")
    settings = read_settings()
    if check:
        manifest, digest = verify(source, sha256)
        typer.echo(f"whole: {len(manifest.members)} members, made {manifest.made_at}")
        typer.echo(f"sha256 {digest}")
        return
    settings = replace(settings, home=home or settings.home)
    if compose:
        done = containers.restore(settings, source, expected=sha256, tell=_tell)
    else:
        done = put_back(settings, source, expected=sha256, tell=_tell)
    lost = wall() - datetime.fromisoformat(done.manifest.made_at)
    restored = "the compose project" if compose else settings.home_path
    typer.echo(f"restored {restored} in {done.seconds:.1f} s")
    _tell(f"what was written after {done.manifest.made_at} is not there: the last {lost}")
    if not done.manifest.with_keys:
        folder = "secrets" if compose else settings.keys_path
        _tell(f"the backup had no keys: API key and passwords in {folder} are other ones")


def _tell(text: str) -> None:
    console.print(f"  {text}", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (backup, restore):
        app.command()(command)
