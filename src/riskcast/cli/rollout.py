"""Commands on rollouts: status, watch, move, resume, availability."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import timedelta
from secrets import token_urlsafe
from typing import Annotated
from urllib.parse import urlsplit

import typer

from riskcast.cli.door import client_settings
from riskcast.cli.models import PRODUCT, WHO, WHY, caller, end, opened, tell
from riskcast.cli.progress import answer, console
from riskcast.core.clock import wall
from riskcast.core.settings import LOOPBACK

rollout = typer.Typer(help="See, watch and resume rollouts of models.", no_args_is_help=True)


@rollout.command()
def status(product: PRODUCT = "") -> None:
    """Say what serves, what is pinned, and where the last rollout stands."""
    machine, _ = opened(product)
    rollouts, champions = machine.journal.rollouts(), machine.journal.champions()
    lines = [
        ("product", machine.product),
        ("champion", champions[-1] if champions else "none"),
        ("before", champions[-2] if len(champions) > 1 else "none"),
        ("pinned", machine.journal.pinned() or "none"),
    ]
    if rollouts:
        last = rollouts[-1]
        share = f" {last.share}%" if last.share else ""
        lines += [
            ("rollout", f"{last.number}: {last.action} version {last.version} to {last.slot}"),
            ("phase", f"{last.phase}{share} since {last.since:%Y-%m-%d %H:%M:%S}Z"),
            ("settled", "yes" if last.settled else "no"),
            ("asked by", f"{last.who}: {last.why}"),
            *((("aborted", last.reason),) if last.reason else ()),
        ]
    for name, value in lines:
        answer.print(f"{name:<10}{value}", markup=False, soft_wrap=True)


@rollout.command()
def resume(product: PRODUCT = "") -> None:
    """Take the rollout under way to its end, after whoever began it was killed."""
    machine, _ = opened(product)
    if machine.follow(tell) is None:
        console.print("no rollout is under way")


@rollout.command()
def move(why: WHY, product: PRODUCT = "", who: WHO = "") -> None:
    """Serve the champion from the other colour, in steps: how a new image gets the traffic."""
    machine, _ = opened(product)
    end(machine.carry_out(machine.move(who=caller(who), why=why), tell))


@rollout.command()
def watch(
    product: PRODUCT = "",
    once: Annotated[
        bool, typer.Option("--once", help="Look once and end; for a timer where nothing watches.")
    ] = False,
) -> None:
    """Carry out what is asked for in MLflow, until stopped.

    An MLflow on this machine tells of changes at once; any other is asked every two seconds.
    """
    from riskcast.rollout import bell
    from riskcast.rollout import watch as watching
    from riskcast.serving import auth

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    machine, registry = opened(product)
    # With these the servers are asked. A stack has them; in a container nothing can be added.
    keys = client_settings()
    if not (keys.keys_path / auth.KEY_FILE).exists():
        auth.ensure_api_key(keys)
    if not (keys.keys_path / auth.ADMIN_KEY_FILE).exists():
        auth.ensure_admin_key(keys)
    if once:
        watching.look(machine, registry)
        return
    secret = token_urlsafe(32)  # lives as long as this process: each start registers its own
    with bell.hung(secret) as rung:
        if urlsplit(client_settings().mlflow).hostname in (LOOPBACK, "localhost"):
            watching.subscribe(registry, machine.product, rung, secret)
        watching.watch(machine, registry, rung)


@rollout.command()
def availability(
    hours: Annotated[float, typer.Option(min=1.0, help="How far back to look.")] = 24.0,
    product: PRODUCT = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how available `/predict` was, from nginx's log and the ledger, against the promise.

    Every request but those the client got wrong is a probe; it counts as good when it was answered
    by the version that the ledger says served. Five minutes without a probe count as down in the
    lower bound: where traffic is thin, ask `/predict` on a timer.
    """
    from riskcast.rollout.availability import availability as judged
    from riskcast.rollout.availability import probes_of
    from riskcast.routing.access_log import entries_since
    from riskcast.routing.nginx import site_of

    machine, _ = opened(product)
    now = wall()
    since = now - timedelta(hours=hours)
    entries = entries_since(site_of(client_settings()).access_log, since)
    probes = probes_of(entries, machine.product)
    found = judged(probes, machine.journal.ledger(), since, now)
    if as_json:
        answer.print_json(json.dumps({**asdict(found), "kept": found.kept}))
        return
    lines = [
        (
            "probes",
            f"{found.probes:,}, {found.failed} failed, {found.misplaced} by another version",
        ),
        ("available", f"{found.share:.3%} of them, promised {found.promise:.0%}"),
        ("probed", f"{found.covered:.1%} of the time"),
        ("at least", f"{found.lower_bound:.3%}, unprobed time counted as down"),
    ]
    for name, value in lines:
        answer.print(f"{name:<11}{value}", markup=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(rollout, name="rollout")
