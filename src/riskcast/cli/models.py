"""Commands on models: list, compare, promote, rollback, pin, unpin, history."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from riskcast.cli.door import client_settings
from riskcast.cli.progress import answer, console
from riskcast.core.clock import wall
from riskcast.core.errors import ModelMissing, SettingsError
from riskcast.products import PRODUCTS
from riskcast.products import product as find_product

if TYPE_CHECKING:
    from riskcast.registry import ModelVersion, Registry
    from riskcast.rollout import Machine, Rollout

PRODUCT = Annotated[str, typer.Option(help="Product; the first one declared when left out.")]
WHY = Annotated[str, typer.Option(help="Reason, kept in the ledger.")]
WHO = Annotated[str, typer.Option(help="Who asks, kept in the ledger; your account if left out.")]
VERSION = Annotated[str, typer.Argument(help="Version, as `riskcast models list` shows it.")]
SHORT = 12  # characters of a digest that tell two apart
models = typer.Typer(help="List, compare and promote model versions.", no_args_is_help=True)


def opened(product: str) -> tuple[Machine, Registry]:
    """Return the rollouts of a product, and the registry, of the running stack if there is one."""
    from riskcast.lake import open_lake
    from riskcast.registry import Registry
    from riskcast.rollout import open_machine

    settings = client_settings()
    registry = Registry(settings)
    name = find_product(product or next(iter(PRODUCTS))).name
    return open_machine(settings, name, registry, open_lake(settings)), registry


def tell(rollout: Rollout) -> None:
    """Print a transition to stderr."""
    share = f" {rollout.share}%" if rollout.share else ""
    if not rollout.settled:
        console.print(f"version {rollout.version}: {rollout.phase}{share} {rollout.reason}")


@models.command("list")
def list_versions(product: PRODUCT = "") -> None:
    """List versions with their aliases and what they were trained on."""
    machine, registry = opened(product)
    pinned = machine.journal.pinned()
    table = Table("version", "aliases", "stage", "recipe", "fit_end", "verdict", "qlike", box=None)
    for version in registry.versions(machine.product):
        tags = version.tags
        held = ("pinned",) if version.version == pinned else ()
        table.add_row(
            version.version,
            ", ".join((*version.aliases, *held)),
            version.stage,
            tags.get("recipe", ""),
            tags.get("fit_end", ""),
            tags.get("verdict", ""),
            tags.get("qlike", ""),
        )
    answer.print(table)


@models.command()
def compare(first: VERSION, second: VERSION, product: PRODUCT = "") -> None:
    """Show two versions side by side: what they are, and every figure of their gates."""
    machine, registry = opened(product)
    found = {version.version: version for version in registry.versions(machine.product)}
    if missing := [v for v in (first, second) if v not in found]:
        raise ModelMissing(f"{machine.product} has no version {', '.join(missing)}")
    one, other = found[first], found[second]
    table = Table("", f"version {first}", f"version {second}", box=None)
    for name in ("aliases", "recipe", "fit_end", "as_of", "verdict", "reason", "git_sha", "digest"):
        table.add_row(name, _said(one, name), _said(other, name))
    for name in sorted({*one.metrics, *other.metrics}):
        pair = (one.metrics.get(name), other.metrics.get(name))
        table.add_row(name, *("" if value is None else f"{value:.6g}" for value in pair))
    answer.print(table)


@models.command()
def promote(version: VERSION, why: WHY, product: PRODUCT = "", who: WHO = "") -> None:
    """Roll a version out: load, golden requests, mirror, canary, flip, bake, champion."""
    machine, _ = opened(product)
    asked = machine.ask(version, who=caller(who), why=why)
    end(machine.carry_out(asked, tell))


@models.command()
def rollback(why: WHY = "asked for", product: PRODUCT = "", who: WHO = "") -> None:
    """Return to the champion before; a rollout under way is aborted."""
    machine, _ = opened(product)
    if machine.cancel(f"{why} ({caller(who)})"):
        machine.follow(tell)
        return
    end(machine.carry_out(machine.rollback(who=caller(who), why=why), tell))


@models.command()
def pin(version: VERSION, why: WHY, product: PRODUCT = "", who: WHO = "") -> None:
    """Hold the champion against automatic promotions until `unpin`."""
    machine, _ = opened(product)
    machine.pin(version, who=caller(who), why=why)
    console.print(f"version {version} is pinned")


@models.command()
def unpin(why: WHY = "asked for", product: PRODUCT = "", who: WHO = "") -> None:
    """Let automatic promotions through again."""
    machine, _ = opened(product)
    machine.unpin(who=caller(who), why=why)
    console.print("no version is pinned")


@models.command()
def history(
    at: Annotated[str, typer.Option(help="UTC instant; all events when left out.")] = "",
    product: PRODUCT = "",
) -> None:
    """Show what served when, who moved it and why; with --at, at one instant, as JSON."""
    machine, _ = opened(product)
    if at:
        row = machine.journal.served(_instant(at))
        typer.echo(json.dumps(row, default=str, indent=2))
        return
    table = Table("at", "action", "version", "previous", "who", "why", box=None)
    for row in machine.journal.ledger().iter_rows(named=True):
        instant = f"{row['at']:%Y-%m-%d %H:%M:%S}Z"
        said = (
            str(row[name] or "") for name in ("action", "model_version", "previous", "who", "why")
        )
        table.add_row(instant, *said)
    answer.print(table)


def _said(version: ModelVersion, name: str) -> str:
    if name == "aliases":
        return ", ".join(version.aliases)
    said = version.tags.get(name, "")
    return said[:SHORT] if name in ("git_sha", "digest") else said


def end(rollout: Rollout) -> None:
    """Print how a rollout ended, or that it waits."""
    if rollout.phase == "idle":
        console.print(
            f"version {rollout.version} waits: set the tag approved=<who> on it in MLflow"
        )
    else:
        console.print(f"version {rollout.version} is champion")


def caller(given: str) -> str:
    """Return who asks: the name given, or the account."""
    return given or f"cli:{getpass.getuser()}"


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--at {text!r} is no ISO instant") from error
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if found > wall():
        raise SettingsError(f"--at {text} lies ahead; nobody knows what will serve then")
    return found


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(models, name="models")
