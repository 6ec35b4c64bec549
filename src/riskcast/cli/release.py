"""Commands on images of an environment on AWS: scan, migrate, deploy, smoke, rollback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from riskcast.cli.models import PRODUCT, WHO, caller
from riskcast.cli.progress import answer, console
from riskcast.core.errors import SettingsError
from riskcast.products import PRODUCTS
from riskcast.products import product as find_product

if TYPE_CHECKING:
    from riskcast.rollout.release import Release
    from riskcast.rollout.site import Site

SITE = Annotated[
    str, typer.Option(help="ssm:/NAME/site, which Terraform writes, or a file with the same JSON.")
]
IMAGE = Annotated[str, typer.Argument(help="Image with its tag, the git sha of its source.")]
PATIENCE = Annotated[float, typer.Option(help="Seconds a service or task may take.")]
KEY = "SMOKE_KEY"
PARAMETER = "ssm:"
release = typer.Typer(help="Bring images to an environment on AWS.", no_args_is_help=True)


@release.command("scan")
def scan_image(
    image: IMAGE,
    refuse: Annotated[str, typer.Option(help="Least severity that is refused.")] = "CRITICAL",
) -> None:
    """Wait for ECR's scan of an image and refuse what it must not have."""
    from riskcast.rollout.proof import SEVERITIES, scan

    if refuse not in SEVERITIES:
        raise SettingsError(f"--refuse {refuse!r}: expected one of {', '.join(SEVERITIES)}")
    counts = scan(image, refuse=refuse)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
    answer.print(f"{image}: findings: {told}", markup=False, soft_wrap=True)


@release.command()
def migrate(image: IMAGE, site: SITE, patience: PATIENCE = 900.0) -> None:
    """Bring MLflow's database to the schema of its image, before the server has it."""
    _opened(site, "", patience).migrate(image)


@release.command()
def deploy(
    image: IMAGE, site: SITE, product: PRODUCT = "", who: WHO = "", patience: PATIENCE = 900.0
) -> None:
    """Start an image in the idle colour and move the traffic there, or leave all as it was."""
    slot = _opened(site, product, patience).deploy(image, who=caller(who))
    answer.print(slot)


@release.command("smoke")
def smoke_test(
    site: SITE,
    requests: Annotated[int, typer.Option(help="Requests.", min=2)] = 20,
    budget: Annotated[float, typer.Option(help="Seconds that 95% of answers may take.")] = 0.5,
) -> None:
    """Ask /predict from outside: all answers sound, and in time. The key is $SMOKE_KEY."""
    from riskcast.rollout.proof import smoke

    if not (key := os.environ.get(KEY, "")):
        raise SettingsError(f"{KEY} is empty; put a key of scope predict there (riskcast keys)")
    found = smoke(_site(site).url, key, requests=requests, budget=budget)
    answer.print(
        f"{found.requests} answers from {', '.join(found.slots)}, "
        f"p95 {found.p95_seconds * 1e3:.0f} ms"
    )


@release.command()
def rollback(
    site: SITE,
    why: Annotated[str, typer.Option(help="Reason, kept in the ledger.")] = "smoke test failed",
    product: PRODUCT = "",
    who: WHO = "",
    patience: PATIENCE = 900.0,
) -> None:
    """Move the traffic back to the colour before, and its image into both."""
    answer.print(_opened(site, product, patience).rollback(who=caller(who), why=why))


def _opened(site: str, product: str, patience: float) -> Release:
    from riskcast.rollout.release import Release

    name = find_product(product or next(iter(PRODUCTS))).name
    pause = min(5.0, patience / 100)
    return Release(_site(site), name, console.print, patience=patience, pause=pause)


def _site(where: str) -> Site:
    from riskcast.rollout.site import fetch_site, read_site

    if where.startswith(PARAMETER):
        return fetch_site(where.removeprefix(PARAMETER))
    try:
        return read_site(Path(where).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--site {where!r} cannot be read: {error.strerror}") from error


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(release, name="release")
