"""The only writer of what serves: takes a rollout's steps and makes the world as they say."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from riskcast.core.clock import wall
from riskcast.core.errors import RolloutAborted, RolloutRefused, RolloutUnderWay
from riskcast.core.settings import Settings
from riskcast.lake import Lake
from riskcast.registry import CHAMPION, LoadedModel, Registry
from riskcast.rollout.journal import PIN, REFUSE, UNPIN, Journal, last_of
from riskcast.rollout.requests import OVERRIDE, REFUSED, refusal
from riskcast.rollout.slots import HttpSlots
from riskcast.rollout.state import (
    ENDS,
    MOVE,
    OTHER,
    PROMOTE,
    ROLLBACK,
    Phase,
    Policy,
    Rollout,
    abort,
    advance,
    settle,
)
from riskcast.rollout.world import World
from riskcast.routing import open_router

PAUSE = 0.3  # seconds between looks

log = logging.getLogger(__name__)


class Machine:
    """Rollouts of one product.

    Any number of processes may have one: a step is taken by whoever holds the file lock, which the
    kernel frees when its holder is killed, and on several machines by whoever's row the lake kept.

    Parameters
    ----------
    lock : Path
        File that processes of one machine take turns by.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        world: World,
        lock: Path,
        policy: Policy,
    ) -> None:
        self.journal, self.product = journal, journal.product
        self._registry, self._world = registry, world
        self._lock, self._policy = lock, policy

    def ask(
        self, version: str, *, who: str, why: str, automatic: bool = False, action: str = PROMOTE
    ) -> Rollout:
        """Begin the rollout of a version and return it; `follow` carries it out.

        Where nothing serves yet, or no server runs, it is champion at once.

        Raises
        ------
        ModelMissing, ArtifactRefused
            If the version does not exist or cannot be loaded.
        RolloutRefused
            If it is champion already, failed the gate without override, or another is pinned.
        RolloutUnderWay
            If another rollout has begun; one that only waits for approval gives way.
        """
        with self._turn(wait=True):
            self._adopt()
            self._clear_way(version, action)
            champions = self.journal.champions()
            before = champions[-1] if champions else None
            if version == before:
                raise RolloutRefused(f"{self.product} version {version} is champion already")
            loaded = self._registry.load(self.product, version)
            if action == PROMOTE:
                why = self._allowed(loaded, why, automatic=automatic)
            rollout = self._begin(loaded.version, before, who, why, action)
            self.journal.write(rollout)
        log.info("%s version %s asked for by %s: %s", action, version, who, why)
        return rollout

    def rollback(self, *, who: str, why: str) -> Rollout:
        """Begin the return to the champion before; as `ask`.

        Raises
        ------
        RolloutRefused
            If there is none.
        """
        champions = self.journal.champions()
        if len(champions) < 2:
            raise RolloutRefused(f"{self.product} has no earlier champion to return to")
        return self.ask(champions[-2], who=who, why=why, action=ROLLBACK)

    def move(self, *, who: str, why: str) -> Rollout:
        """Begin to serve the champion from the other colour; as `ask`.

        The way a new image of the servers gets the traffic, and the way back.

        Raises
        ------
        RolloutRefused
            If there is no champion, or no server runs.
        """
        with self._turn(wait=True):
            self._adopt()
            self._clear_way("", MOVE)
            champions = self.journal.champions()
            if not champions or not self._world.serves():
                raise RolloutRefused(f"{self.product} is not served, so nothing can be moved")
            rollout = self._begin(champions[-1], champions[-1], who, why, MOVE)
            self.journal.write(rollout)
        log.info("move to %s asked for by %s: %s", rollout.slot, who, why)
        return rollout

    def follow(self, on_step: Callable[[Rollout], None] = lambda _: None) -> Rollout | None:
        """Take steps, or see another process take them, until the rollout under way has ended.

        Returns its last state: settled, or idle if it waits for approval; None if there was none.
        """
        last: Rollout | None = None
        while True:
            rollout = self._step_in_turn(last)
            if rollout is None:
                return last
            moved = last is None or (rollout.number, rollout.step) != (last.number, last.step)
            if moved:
                on_step(rollout)
            last = rollout
            waits = rollout.phase == Phase.IDLE and not self._world.approved(rollout)
            if rollout.settled or waits:
                return rollout
            if not moved:
                time.sleep(PAUSE)

    def carry_out(self, rollout: Rollout, on_step: Callable[[Rollout], None]) -> Rollout:
        """Follow a rollout to its end and return it; an idle one waits for approval.

        Raises
        ------
        RolloutAborted
            With the check that failed; what served before serves.
        """
        self.follow(on_step)
        last = next(r for r in self.journal.rollouts() if r.number == rollout.number)
        if last.phase == Phase.ABORTED:
            raise RolloutAborted(
                f"{self.product} version {last.version}: {last.reason}; "
                f"version {last.before} goes on serving"
            )
        return last

    def cancel(self, reason: str) -> bool:
        """Abort the rollout under way and return whether there was one; `follow` does the rest."""
        with self._turn(wait=True):
            rollout = self.journal.under_way()
            if rollout is None or rollout.phase in ENDS:
                return False
            self.journal.write(abort(rollout, wall(), reason))
            return True

    def pin(self, version: str, *, who: str, why: str) -> None:
        """Hold the champion against automatic promotions.

        Raises
        ------
        RolloutRefused
            If the version is not the champion.
        """
        champions = self.journal.champions()
        if version not in champions[-1:]:
            raise RolloutRefused(f"version {version} is not the champion; promote it first")
        self._note(PIN, version, version, who, why)

    def unpin(self, *, who: str, why: str) -> None:
        """Let automatic promotions through again.

        Raises
        ------
        RolloutRefused
            If nothing is pinned.
        """
        if (pinned := self.journal.pinned()) is None:
            raise RolloutRefused(f"no version of {self.product} is pinned")
        self._note(UNPIN, pinned, pinned, who, why)

    def refuse(self, version: str, reason: str, *, who: str) -> None:
        """Say on the version, and in the ledger, why it is not rolled out."""
        self._registry.tag(self.product, version, REFUSED, reason)
        champions = self.journal.champions()
        self._note(REFUSE, version, champions[-1] if champions else None, who, reason)

    def restore(self, answered: str | None = None) -> None:
        """Make aliases and stages say what the last rollout left; nothing while one is under way.

        What was champion before the first rollout is taken over as it is.

        Parameters
        ----------
        answered : str, optional
            Version whose request was answered, empty if none was: a request for any other is new,
            and all is left as it is. Without it no request is spared.
        """
        with self._turn(wait=True):
            self._adopt()
            if self.journal.under_way() is None and (champions := self.journal.champions()):
                self._world.mirror_truth(champions[-1], answered=answered)

    def _begin(self, version: str, before: str | None, who: str, why: str, action: str) -> Rollout:
        active, now = self._world.active(), wall()
        served = before is not None and self._world.serves()
        return Rollout(
            product=self.product,
            number=last_of(self.journal.rollouts()) + 1,
            version=version,
            before=before,
            slot=OTHER[active] if served else active,
            asked_at=now,
            since=now,
            who=who,
            why=why,
            action=action,
            phase=Phase.IDLE if served else Phase.DONE,
        )

    def _allowed(self, loaded: LoadedModel, why: str, *, automatic: bool) -> str:
        """Return why, with the override if one was needed; raise RolloutRefused if it may not.

        The verdict is the one sealed with the model: whoever can edit tags can only override.
        """
        override = loaded.tags.get(OVERRIDE, "").strip()
        judged, pinned = loaded.verdict, self.journal.pinned()
        reason = refusal(loaded.version, judged, override, pinned, automatic=automatic)
        if reason:
            raise RolloutRefused(f"{self.product}: {reason}")
        needed = refusal(loaded.version, judged, "", None)
        return f"{why}; override: {override}" if needed else why

    def _clear_way(self, version: str, action: str) -> None:
        """Abort a rollout that only waits; or, for a rollback, any other."""
        rollout = self.journal.under_way()
        if rollout is None:
            return
        if rollout.phase in ENDS:  # its process was killed before the end was made true
            self._step(rollout)
            return
        if rollout.phase != Phase.IDLE and action != ROLLBACK:
            raise RolloutUnderWay(
                f"{self.product}: version {rollout.version} is being rolled out "
                f"({rollout.phase}); `riskcast rollout status`"
            )
        asked = f"version {version} was asked for" if version else "a move was asked for"
        aborted = abort(rollout, wall(), f"{asked} instead")
        self.journal.write(aborted)
        self._step(aborted)

    def _adopt(self) -> None:
        if self.journal.rollouts():
            return
        version = self._registry.alias(self.product, CHAMPION)
        if version is None:
            return
        found = self._begin(version, None, "riskcast", "champion before the first rollout", PROMOTE)
        self.journal.write(found)
        self._step(found)

    def _step_in_turn(self, last: Rollout | None) -> Rollout | None:
        with self._turn(wait=False) as mine:
            rollout = self.journal.under_way()
            if rollout is None:
                if last is None or last.settled:
                    return None
                return next(r for r in self.journal.rollouts() if r.number == last.number)
            return self._step(rollout) if mine else rollout

    def _step(self, rollout: Rollout) -> Rollout:
        """Make the world as the state says, look at it, and return the state that follows."""
        fault = self._world.impose(rollout)
        if rollout.phase in ENDS:
            after = settle(rollout, wall())
        elif fault:
            after = abort(rollout, wall(), fault)
        else:
            after = advance(rollout, self._world.look(rollout), self._policy)
        if after is not rollout:
            self.journal.write(after)
            log.info("version %s: %s %s %s", after.version, after.phase, after.share, after.reason)
        return after

    def _note(self, action: str, version: str, before: str | None, who: str, why: str) -> None:
        event = f"{action}|{version}|{wall().isoformat()}"
        self.journal.note(action, version, before, who=who, why=why, event=event)

    @contextmanager
    def _turn(self, *, wait: bool) -> Iterator[bool]:
        """Give whether the lock is ours; it is free again once this process has ended."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def open_machine(settings: Settings, product: str, registry: Registry, lake: Lake) -> Machine:
    """Return the machine of a product as the settings want it."""
    policy = Policy(
        shares=settings.canary_shares,
        step=timedelta(seconds=float(settings.rollout_step)),
        bake=timedelta(seconds=float(settings.rollout_bake)),
        max_errors=float(settings.rollout_max_errors),
        max_slowdown=float(settings.rollout_max_slowdown),
        max_divergence=float(settings.rollout_max_divergence),
    )
    journal = Journal(lake, product)
    router, slots = open_router(settings), HttpSlots(settings)
    world = World(journal, registry, router, slots, policy, settings.approval)
    lock = settings.home_path / "rollout" / f"{product}.lock"
    return Machine(journal, registry, world, lock, policy)
