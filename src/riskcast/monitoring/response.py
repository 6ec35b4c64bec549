"""What follows from alarms: a retraining or a rollback, rarely enough to be taken seriously."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Brake:
    """How often something may follow.

    Attributes
    ----------
    cool_down : int
        Sessions after one before the next.
    budget, span : int
        At most `budget` of them in `span` sessions.
    """

    cool_down: int = 20
    budget: int = 4
    span: int = 252


def decide(
    alarms: Iterable[datetime], sessions: list[datetime], earlier: Iterable[datetime], brake: Brake
) -> list[datetime]:
    """Return the alarms that something follows from, ascending.

    Parameters
    ----------
    alarms : iterable of datetime
        Instants of alarmed sessions; each is one of `sessions`.
    sessions : list of datetime
        Instants of all sessions, ascending.
    earlier : iterable of datetime
        What already followed, before the first of `alarms`.
    """
    place = {at: i for i, at in enumerate(sessions)}
    taken = sorted(place[at] for at in earlier if at in place)
    made = []
    for at in sorted(alarms):
        now = place[at]
        cool = not taken or now - taken[-1] > brake.cool_down
        within = sum(now - past < brake.span for past in taken) < brake.budget
        if cool and within:
            taken.append(now)
            made.append(at)
    return made
