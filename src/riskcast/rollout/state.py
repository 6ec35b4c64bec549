"""A rollout as data, and what follows from it: pure, no clock, no client.

`wanted` says what the world must look like in a state, `advance` which state follows from what was
seen. Whoever carries a rollout out writes the new state first and then makes the world so; killed
in between, anyone does the second part again. So there is nothing to undo and nothing to remember.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

PROMOTE, ROLLBACK = "promote", "rollback"
MOVE = "move"  # the champion to the other colour, whose server is another image
OTHER = {"blue": "green", "green": "blue"}


class Phase(StrEnum):
    """Where a rollout stands."""

    IDLE = "idle"  # asked for, waiting to be allowed
    LOAD = "load"  # the idle colour loads the version
    GOLDEN = "golden"  # it answers the requests recorded at training
    MIRROR = "mirror"  # it answers copies of requests, compared with the active colour
    CANARY = "canary"  # it answers a share of the traffic
    FLIP = "flip"  # all traffic is sent to it
    BAKE = "bake"  # it answers all traffic and is watched
    DONE = "done"
    ABORTED = "aborted"


ENDS = (Phase.DONE, Phase.ABORTED)
SERVING = (Phase.FLIP, Phase.BAKE, Phase.DONE)  # the version has all traffic


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout of one version, as of one of its transitions.

    Attributes
    ----------
    number : int
        Rollouts of a product are counted from 1.
    step : int
        Transitions so far.
    action : {"promote", "rollback", "move"}
    before : str or None
        Champion when it was asked for; None if nothing served.
    slot : str
        Colour that loads the version.
    share : int
        Percent of the traffic that `slot` gets in the phase canary.
    since : datetime
        When the phase, or the share, began.
    reason : str
        Why it was aborted.
    settled : bool
        Whether the end was made true of the world; a rollout that is not settled is under way.
    """

    product: str
    number: int
    version: str
    before: str | None
    slot: str
    asked_at: datetime
    since: datetime
    who: str
    why: str
    action: str = PROMOTE
    phase: Phase = Phase.IDLE
    share: int = 0
    step: int = 0
    reason: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient and how strict a rollout is.

    Attributes
    ----------
    shares : tuple of int
        Canary shares in percent, rising.
    step : timedelta
        Time in the phase mirror, and at each share.
    bake : timedelta
        Time all traffic is watched before the champion moves.
    patience : timedelta
        Time in which a phase that waits for something must get it.
    max_errors : float
        Share of requests that may fail.
    max_slowdown : float
        95th percentile of the latency over the active colour's.
    max_divergence : float
        Largest absolute difference of ln rv between the colours.
    """

    shares: tuple[int, ...] = (5, 25, 50)
    step: timedelta = timedelta(seconds=5)
    bake: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(seconds=30)
    max_errors: float = 0.01
    max_slowdown: float = 3.0
    max_divergence: float = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the world in a state.

    Attributes
    ----------
    fault : str
        The first check that failed, in words; empty if none did.
    ready : str
        Version with which the rollout's colour says it is ready; empty if it is not.
    active : str
        Colour that has the traffic.
    checked : bool
        Whether the checks of the phase could be made at all.
    """

    now: datetime
    approved: bool = True
    fault: str = ""
    ready: str = ""
    active: str = ""
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the world must look like.

    Attributes
    ----------
    active : str
        Colour that has the traffic.
    share : int
        Percent of it that the other colour gets.
    mirror : bool
        Whether the other colour gets copies.
    colours : mapping of colour to version
    champion : str or None
    challenger : str or None
    """

    active: str
    share: int
    mirror: bool
    colours: Mapping[str, str]
    champion: str | None
    challenger: str | None


def wanted(rollout: Rollout) -> Wanted:
    """Return what the world must look like; a rollout that waits wants no colour changed."""
    slot, other = rollout.slot, OTHER[rollout.slot]
    standing = rollout.before or rollout.version
    version = standing if rollout.phase == Phase.ABORTED else rollout.version
    done, waits = rollout.phase == Phase.DONE, rollout.phase == Phase.IDLE
    moves = rollout.action == MOVE
    return Wanted(
        active=slot if rollout.phase in SERVING else other,
        share=rollout.share if rollout.phase == Phase.CANARY else 0,
        mirror=rollout.phase == Phase.MIRROR,
        # The colour that serves first: it already has its version.
        colours={} if waits else {other: standing, slot: version},
        champion=rollout.version if done else rollout.before,
        challenger=None if rollout.phase in ENDS or moves else rollout.version,
    )


def advance(rollout: Rollout, seen: Seen, policy: Policy) -> Rollout:
    """Return the state that follows, the same one while nothing does.

    Any fault before the end aborts: the traffic goes back to, or stays with, the old colour.
    """
    if rollout.phase in ENDS:
        return rollout
    if seen.fault:
        return abort(rollout, seen.now, seen.fault)
    if rollout.phase == Phase.IDLE:
        return _enter(rollout, seen, Phase.LOAD) if seen.approved else rollout
    waited = seen.now - rollout.since
    if _waits_for(rollout, seen):
        if waited >= _due(rollout, policy):
            return _next(rollout, seen, policy)
        return rollout
    if waited > _due(rollout, policy) + policy.patience:
        said = f"{rollout.phase}: not accomplished within {waited.total_seconds():.0f} s"
        return abort(rollout, seen.now, said)
    return rollout


def abort(rollout: Rollout, now: datetime, reason: str) -> Rollout:
    """Return the rollout ended without success; one that has ended stays as it is."""
    if rollout.phase in ENDS:
        return rollout
    return replace(
        rollout,
        phase=Phase.ABORTED,
        share=0,
        since=now,
        step=rollout.step + 1,
        reason=reason,
    )


def settle(rollout: Rollout, now: datetime) -> Rollout:
    """Return the ended rollout after its end was made true of the world."""
    return replace(rollout, since=now, step=rollout.step + 1, settled=True)


def champions(rollouts: Iterable[Rollout]) -> tuple[str, ...]:
    """Return the champions in force, oldest first: a rollback takes back what came after.

    The last one serves; the one before it is what a rollback returns to.

    Parameters
    ----------
    rollouts : iterable of Rollout
        Last state of each, oldest first.
    """
    standing: list[str] = []
    for rollout in rollouts:
        if rollout.phase != Phase.DONE:
            continue
        if rollout.version in standing:
            at = standing.index(rollout.version)
            del standing[at : None if rollout.action == ROLLBACK else at + 1]
        standing.append(rollout.version)
    return tuple(standing)


def _waits_for(rollout: Rollout, seen: Seen) -> bool:
    """Whether the phase has got what it is there for."""
    match rollout.phase:
        case Phase.LOAD:
            return seen.ready == rollout.version
        case Phase.FLIP:
            return seen.active == rollout.slot
        case _:
            return seen.checked


def _due(rollout: Rollout, policy: Policy) -> timedelta:
    match rollout.phase:
        case Phase.MIRROR | Phase.CANARY:
            return policy.step
        case Phase.BAKE:
            return policy.bake
        case _:
            return timedelta()


def _next(rollout: Rollout, seen: Seen, policy: Policy) -> Rollout:
    match rollout.phase:
        case Phase.LOAD:
            return _enter(rollout, seen, Phase.GOLDEN)
        case Phase.GOLDEN:
            # What served before needs no proof that it can, and somebody is waiting.
            quick = rollout.action == ROLLBACK
            return _enter(rollout, seen, Phase.FLIP if quick else Phase.MIRROR)
        case Phase.MIRROR | Phase.CANARY:
            larger = [share for share in policy.shares if share > rollout.share]
            if larger:
                return _enter(rollout, seen, Phase.CANARY, larger[0])
            return _enter(rollout, seen, Phase.FLIP)
        case Phase.FLIP:
            return _enter(rollout, seen, Phase.BAKE)
        case _:
            return _enter(rollout, seen, Phase.DONE)


def _enter(rollout: Rollout, seen: Seen, phase: Phase, share: int = 0) -> Rollout:
    return replace(rollout, phase=phase, share=share, since=seen.now, step=rollout.step + 1)
