"""What a rollout touches and looks at: registry, router, servers. Every touch may be made twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from riskcast.core.clock import wall
from riskcast.core.errors import ModelMissing, RegistryError, StackError
from riskcast.registry import CHAMPION, PREVIOUS, ModelVersion, Registry
from riskcast.rollout.checks import check_answers, check_golden, check_mirrored, check_traffic
from riskcast.rollout.journal import Journal
from riskcast.rollout.requests import APPROVED, ARCHIVED, REFUSED, find_request, stages
from riskcast.rollout.slots import Slots
from riskcast.rollout.state import (
    ENDS,
    OTHER,
    PROMOTE,
    ROLLBACK,
    Phase,
    Policy,
    Rollout,
    Seen,
    wanted,
)
from riskcast.routing import SLOTS, Router

CHALLENGER = "challenger"
PROBES = 5  # requests to each colour at a look


class World:
    """The outside of one product's rollouts.

    Parameters
    ----------
    approval : {"none", "tag"}
        Whether a promotion waits for the tag ``approved=<who>``.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        router: Router,
        slots: Slots,
        policy: Policy,
        approval: str,
    ) -> None:
        self.product = journal.product
        self._journal, self._registry, self._router = journal, registry, router
        self._slots, self._policy, self._approval = slots, policy, approval
        self._imposed: tuple[int, int] | None = None

    def active(self) -> str:
        """Return the colour that has the traffic."""
        return self._router.active(self.product)

    def serves(self) -> bool:
        """Whether any server runs."""
        return any(self._slots.ready(self.product, slot).alive for slot in SLOTS)

    def impose(self, rollout: Rollout) -> str:
        """Make the world as the state says; return what could not be done on the way to the end.

        Once a state is enough for one process, and more would make the registry a part of
        watching the traffic.

        Raises
        ------
        StackError
            If the traffic cannot be moved to where the end wants it.
        RegistryError
            If the registry does not answer.
        """
        state = (rollout.number, rollout.step)
        if self._imposed == state:
            return ""
        try:
            self._route(rollout)
        except StackError as error:
            if rollout.phase in ENDS:
                raise
            return str(error)
        target = wanted(rollout)
        self.mirror_truth(target.champion, target.challenger, target.colours, rollout)
        self._tell(rollout)
        self._imposed = state
        return ""

    def mirror_truth(
        self,
        champion: str | None,
        challenger: str | None = None,
        colours: Mapping[str, str] | None = None,
        rollout: Rollout | None = None,
        answered: str | None = None,
    ) -> None:
        """Make aliases and stages say who serves.

        A request met on the way is refused as late during a rollout; after one, it is left alone
        if it is not the one `answered`.
        """
        versions = self._registry.versions(self.product, metrics=False)
        others = [version for version in versions if version.version != answered]
        if answered is not None and find_request(others, champion) is not None:
            return
        if rollout is not None:
            late = find_request(versions, champion)
            if late and late.version not in (rollout.version, rollout.before):
                reason = f"a rollout of version {rollout.version} was under way; ask again"
                self._registry.tag(self.product, late.version, REFUSED, reason)
        earlier = [version for version in self._journal.champions() if version != champion]
        self._registry.assign(
            self.product,
            {
                **(colours or {}),
                PREVIOUS: earlier[-1] if earlier else None,
                CHALLENGER: challenger,
                CHAMPION: champion,
            },
            stages(versions, champion, challenger),
            versions,
        )

    def look(self, rollout: Rollout) -> Seen:
        """Return what is seen of the world in a state that has been imposed."""
        seen = Seen(now=wall(), active=self.active())
        if fault := self._cancelled(rollout):
            return replace(seen, fault=fault)
        if rollout.phase == Phase.IDLE:
            return replace(seen, approved=self.approved(rollout))
        if rollout.phase in (Phase.LOAD, Phase.FLIP):
            ready = self._slots.ready(self.product, rollout.slot)
            refused = [t for t in ready.troubles if t.startswith(f"version {rollout.version} ")]
            return replace(seen, ready=ready.version, fault="; ".join(refused))
        fault = self._golden(rollout) if rollout.phase == Phase.GOLDEN else self._watched(rollout)
        return replace(seen, now=wall(), fault=fault, checked=True)

    def approved(self, rollout: Rollout) -> bool:
        """Whether the rollout may begin; only a promotion waits."""
        if self._approval == "none" or rollout.action != PROMOTE:
            return True
        return bool(self._approver(rollout.version))

    def described(self, version: str) -> ModelVersion:
        """Return what the registry says of a version.

        Raises
        ------
        ModelMissing
            If there is none.
        """
        for found in self._registry.versions(self.product, metrics=False):
            if found.version == version:
                return found
        raise ModelMissing(
            f"{self.product} has no version {version}; `riskcast models list` shows what there is"
        )

    def _route(self, rollout: Rollout) -> None:
        # A deployment where nothing serves moves no traffic, and one that waits must not.
        if rollout.step == 0 or rollout.phase == Phase.IDLE:
            return
        target = wanted(rollout)
        if self.active() != target.active:
            self._router.switch(self.product, target.active)
        if rollout.phase in (Phase.CANARY, Phase.ABORTED):
            self._router.canary(self.product, target.share)
        if not self._router.copies:
            return  # the probes of both colours are all that the phase mirror has then
        if rollout.phase in (Phase.MIRROR, Phase.CANARY, Phase.FLIP, Phase.ABORTED):
            self._router.mirror(self.product, target.mirror)

    def _tell(self, rollout: Rollout) -> None:
        """Write the state on the version, and what changed for requests into the ledger."""
        shown = f"{rollout.phase} {rollout.share}%" if rollout.share else str(rollout.phase)
        told = f"{shown}: {rollout.reason}" if rollout.reason else shown
        self._registry.tag(self.product, rollout.version, "rollout", told)
        version, before, who, why = rollout.version, rollout.before, rollout.who, rollout.why
        match rollout.phase:
            case Phase.LOAD if self._approval == "tag" and rollout.action == PROMOTE:
                action, who = "approve", self._approver(version)
            case Phase.CANARY:
                action, why = "canary", f"{rollout.share}% of requests; {why}"
            case Phase.FLIP:
                action = "flip"
            case Phase.DONE:
                action = rollout.action
                self._registry.tag(self.product, version, REFUSED, None)
            case Phase.ABORTED:
                action, why = "abort", rollout.reason
                version, before = before or version, version
            case _:
                return
        event = f"{rollout.number}|{rollout.step}"
        self._journal.note(action, version, before, who=who, why=why, event=event)

    def _golden(self, rollout: Rollout) -> str:
        recorded = self._registry.load(self.product, rollout.version).golden
        if not recorded:
            # What was champion before golden requests were recorded must still be a way back.
            missing = f"version {rollout.version} records no golden requests; train it again"
            return missing if rollout.action == PROMOTE else ""
        answers = [
            self._slots.predict(rollout.slot, {"feature_vector": request["features"]})
            for request in recorded
        ]
        return check_golden(recorded, answers)

    def _watched(self, rollout: Rollout) -> str:
        """Ask both colours the same, and see how the new one fares with copies and traffic."""
        new, old = rollout.slot, OTHER[rollout.slot]
        pairs = [[self._slots.predict(slot, {}) for slot in (new, old)] for _ in range(PROBES)]
        ours = [pair[0] for pair in pairs]
        # A champion that is left because it answers wrongly is no measure.
        theirs = ours if rollout.action == ROLLBACK else [pair[1] for pair in pairs]
        if fault := check_answers(ours, theirs, self._policy):
            return fault
        traffic = self._router.traffic(self.product, rollout.since)
        if rollout.phase == Phase.MIRROR:
            return check_mirrored(
                self._slots.mirrored(new, rollout.since), traffic[old], self._policy
            )
        return check_traffic(traffic[new], traffic[old], rollout.version, self._policy)

    def _cancelled(self, rollout: Rollout) -> str:
        try:
            found = self.described(rollout.version)
        except RegistryError:
            return ""  # a registry that is away must not keep us from watching the traffic
        return f"stage {ARCHIVED} was set" if found.stage == ARCHIVED else ""

    def _approver(self, version: str) -> str:
        return self.described(version).tags.get(APPROVED, "").strip()
