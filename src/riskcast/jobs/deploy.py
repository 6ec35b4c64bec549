"""Ask for a rollout and carry it out: what training, DAGs and the command line share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from riskcast.core.errors import RolloutAborted, RolloutRefused
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.lake.rows import inside
from riskcast.products import Product
from riskcast.registry import ModelVersion, Registry
from riskcast.rollout import Machine, Phase, Rollout, open_machine
from riskcast.rollout.requests import OVERRIDE, VERDICT

NOTHING: Mapping[str, str] = MappingProxyType({})
log = logging.getLogger(__name__)


def deploy(
    *,
    product: Product,
    registry: Registry,
    lake: Lake,
    settings: Settings,
    params: Mapping[str, str] = NOTHING,
) -> None:
    """Roll out the version that `params` names, otherwise the newest that passed the gate.

    Parameters
    ----------
    params : mapping
        ``version``, ``who`` and ``why``, each optional.

    Raises
    ------
    RolloutRefused
        If the version named may not be rolled out.
    RolloutAborted
        If a check failed; what served before serves.
    """
    machine = open_machine(settings, product.name, registry, lake)
    if version := params.get("version", ""):
        who, why = params.get("who") or "deploy", params.get("why") or "asked for"
        _carry_out(machine, machine.ask(version, who=who, why=why))
    else:
        deploy_newest(machine, registry)


def rollback(
    *,
    product: Product,
    registry: Registry,
    lake: Lake,
    settings: Settings,
    params: Mapping[str, str] = NOTHING,
) -> None:
    """Return to the champion before; `params` as for `deploy`, without version.

    Raises
    ------
    RolloutRefused
        If there is none.
    RolloutAborted
        If it does not answer as it should; the champion goes on serving.
    """
    machine = open_machine(settings, product.name, registry, lake)
    who, why = params.get("who") or "rollback", params.get("why") or "asked for"
    _carry_out(machine, machine.rollback(who=who, why=why))


def guard(
    health: pl.DataFrame,
    *,
    product: Product,
    registry: Registry,
    lake: Lake,
    settings: Settings,
    window: Window,
) -> None:
    """Return to the champion before where the guardrail found that this one fails grossly.

    Only the version that an alarm of the window names is left, so that a rerun, or a champion
    that has been moved since, changes nothing.

    Parameters
    ----------
    health : DataFrame
        Rows of `health` known by the window's end.

    Raises
    ------
    RolloutRefused, RolloutAborted
        As `rollback`; the champion goes on serving.
    """
    alarms = health.filter(
        inside(window), product=product.name, check="rollback", verdict="alarm"
    ).sort("at")
    if alarms.is_empty():
        return
    asked = alarms.row(-1, named=True)
    machine = open_machine(settings, product.name, registry, lake)
    machine.follow()
    serving = machine.journal.champions()[-1:]
    if serving != (asked["subject"],):
        log.info("version %s is champion no more; nothing to roll back", asked["subject"])
        return
    _carry_out(machine, machine.rollback(who="guardrail", why=asked["why"]))


def deploy_newest(machine: Machine, registry: Registry) -> None:
    """Roll out the newest version that passed the gate, once: not what was rolled back since.

    A version that knows less than the champion is left alone, as is any while another is pinned.

    Raises
    ------
    RolloutAborted
        If a check failed, now or when it was tried before.
    """
    machine.follow()  # what a killed run has left
    machine.restore()
    version = newest(registry.versions(machine.product, metrics=False), machine)
    if version is None:
        return
    tried = [r for r in machine.journal.rollouts() if r.version == version.version]
    if tried and tried[-1].phase == Phase.ABORTED:
        raise RolloutAborted(
            f"{machine.product} version {version.version} was aborted: {tried[-1].reason}; "
            f"`riskcast models promote {version.version}` tries again"
        )
    if tried:
        return
    try:
        why = version.tags.get("reason", "passed the gate")
        rollout = machine.ask(version.version, who="train", why=why, automatic=True)
    except RolloutRefused as error:  # a pin: somebody wants the champion to stay
        log.warning("%s", error)
        machine.refuse(version.version, str(error), who="train")
        return
    _carry_out(machine, rollout)


def newest(versions: list[ModelVersion], machine: Machine) -> ModelVersion | None:
    """Return the promotable version that knows most, None if the champion knows as much."""
    able = [v for v in versions if v.tags.get(VERDICT) == "promote" or v.tags.get(OVERRIDE)]
    if not able:
        return None
    best = max(able, key=lambda v: (v.tags.get("as_of", ""), int(v.version)))
    standing = machine.journal.champions()
    champion = next((v for v in versions if v.version in standing[-1:]), None)
    if champion is not None and champion.tags.get("as_of", "") > best.tags.get("as_of", ""):
        return None
    return None if best.version in standing[-1:] else best


def _carry_out(machine: Machine, rollout: Rollout) -> None:
    def tell(each: Rollout) -> None:
        log.info("version %s: %s %s", each.version, each.phase, each.share or "")

    machine.carry_out(rollout, tell)
