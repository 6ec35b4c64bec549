"""Carries out what is asked for in the registry, for as long as it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from riskcast.core.errors import (
    ArtifactRefused,
    ModelMissing,
    RegistryError,
    RiskcastError,
    RolloutError,
)
from riskcast.registry import Registry
from riskcast.rollout.bell import Bell
from riskcast.rollout.machine import Machine
from riskcast.rollout.requests import Request, find_request
from riskcast.rollout.state import ROLLBACK

EVERY = 2.0  # seconds between looks at the registry
WHO = "mlflow"

log = logging.getLogger(__name__)


def watch(
    machine: Machine, registry: Registry, bell: Bell, *, forever: Callable[[], bool] = lambda: True
) -> None:
    """Look whenever the bell is rung, and every two seconds; a look that fails is made again.

    Nothing is remembered between looks, so it may be killed and started at any time.
    """
    told = ""
    while forever():
        try:
            look(machine, registry)
            told = ""
        except RiskcastError as error:
            if str(error) != told:
                log.warning("%s: %s", error.code, error)
            told = str(error)
        bell.wait(EVERY)


def subscribe(registry: Registry, product: str, bell: Bell, secret: str) -> bool:
    """Have MLflow ring the bell; return whether it will. Where it will not, looks must do."""
    try:
        registry.subscribe(f"riskcast-{product}", bell.url, secret)
    except RegistryError as error:
        log.warning("no webhook, so changes are seen every %g s: %s", EVERY, error)
        return False
    return True


def look(machine: Machine, registry: Registry) -> None:
    """Finish the rollout under way, or begin the one that is asked for and finish it."""
    machine.follow()  # one that waits for approval is no obstacle to what follows
    champions = machine.journal.champions()
    asked = None
    if champions:
        versions = registry.versions(machine.product, metrics=False)
        asked = find_request(versions, champions[-1])
    if asked is not None and _begin(machine, asked):
        machine.follow()
    machine.restore(answered="" if asked is None else asked.version)


def _begin(machine: Machine, asked: Request) -> bool:
    """Begin what is asked for; say on the version why not, where it may not be."""
    try:
        if asked.action == ROLLBACK:
            machine.rollback(who=WHO, why=asked.how)
        else:
            machine.ask(asked.version, who=WHO, why=asked.how)
    except (RolloutError, ArtifactRefused, ModelMissing) as error:
        log.warning("version %s: %s", asked.version, error)
        machine.refuse(asked.version, str(error), who=WHO)
        return False
    return True
