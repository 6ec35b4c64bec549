"""What a step and a pipeline are. Functions are named by string: reading this imports no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from riskcast.core.errors import DeclarationError
from riskcast.products import Product
from riskcast.tables import Read, Table, Write

SESSION_CLOSE = "@session_close"
RELEASES = "@releases"


class Size(StrEnum):
    """How much machine a step wants; the place translates it."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Step:
    """One call: frames of `reads` in, frames of `writes` out.

    Attributes
    ----------
    run : str
        ``"module:function"``, called with the frames in the order of `reads` and, by name,
        the ports listed in `uses`.
    uses : tuple of str
        Ports besides frames: window, settings, asset, source, lake, registry, progress, params,
        backfill, announce. A step of a product is handed `product` too. A step without `uses`
        sees frames only.
    after : tuple of str
        Steps to wait for although no table passes between them.
    commits : tuple of Table
        Tables the function writes through `lake` itself, because their rows are not known in the
        window of the run.
    from_start : bool
        Whether the step answers for everything known up to the window's end instead of the
        window alone, because it recomputes history: a walk-forward, for example.
    over : tuple of str
        Members the step does its work for, independent of each other, so that a place may run them
        side by side; a call is handed those it is for, all or one, as `members`.

    Raises
    ------
    DeclarationError
        If a table is to be retrieved that is not the features table of the step's product, or
        members of one step would replace each other's rows.
    """

    name: str
    run: str
    reads: tuple[Read, ...] = ()
    writes: tuple[Table, ...] = ()
    uses: tuple[str, ...] = ()
    product: Product | None = None
    size: Size = Size.SMALL
    after: tuple[str, ...] = ()
    from_start: bool = False
    commits: tuple[Table, ...] = ()
    retries: int = 2
    emits: tuple[str, ...] = ()
    live_only: bool = False
    over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for read in self.reads:
            if read.retrieved and (self.product is None or self.product.features != read.table):
                raise DeclarationError(
                    f"step {self.name} retrieves {read.table.name}, which is not the features "
                    "table of its product"
                )
        if self.over and any(table.write is Write.REPLACE for table in self.writes):
            raise DeclarationError(
                f"step {self.name} has {len(self.over)} members, but writing a table whose "
                "windows are replaced leaves the last one's rows only"
            )

    def members(self, only: str = "") -> tuple[str, ...]:
        """Return the members of the step, or the one asked for; none if it has none.

        Raises
        ------
        DeclarationError
            If the step has no such member.
        """
        if only and only not in self.over:
            known = ", ".join(self.over) or "none"
            raise DeclarationError(f"step {self.name} has no member {only!r}; it has {known}")
        return (only,) if only else self.over


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps whose order follows from what they read and write.

    Attributes
    ----------
    schedule : str
        Cron expression in UTC, `SESSION_CLOSE`, `RELEASES` followed by events of the table
        release_calendar, or empty for manual runs.
    on : tuple of str
        Assets whose events start a run, besides the schedule. Its window is that of the run that
        sent the event.
    params : mapping of str to str
        What a run by hand may be told besides its window, each with its meaning; handed to steps
        that use the port `params`.
    due : timedelta or None
        Time after a run's start at which somebody is told that it has not ended.

    Raises
    ------
    DeclarationError
        If two steps share a name or write one table, or the order has a cycle.
    """

    name: str
    doc: str
    steps: tuple[Step, ...]
    schedule: str = ""
    tags: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    due: timedelta | None = None

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise DeclarationError(f"{self.name}: two steps share a name")
        written = [table.name for step in self.steps for table in step.writes]
        if len(set(written)) < len(written):
            raise DeclarationError(f"{self.name}: two steps write one table")
        self.ordered()

    def step(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        names = ", ".join(step.name for step in self.steps)
        raise DeclarationError(f"{self.name} has no step {name!r}; it has {names}")

    def upstream(self, step: Step) -> tuple[Step, ...]:
        """Steps of this pipeline that write what `step` reads, or that it names in `after`."""
        read = {r.table.name for r in step.reads}
        return tuple(
            other
            for other in self.steps
            if other is not step
            and (other.name in step.after or read & {table.name for table in other.writes})
        )

    def ordered(self) -> tuple[Step, ...]:
        """The steps, each after all its upstream ones, otherwise as declared."""
        done: list[Step] = []
        waiting = list(self.steps)
        while waiting:
            ready = next((s for s in waiting if all(u in done for u in self.upstream(s))), None)
            if ready is None:
                raise DeclarationError(f"{self.name}: a cycle among {[s.name for s in waiting]}")
            done.append(ready)
            waiting.remove(ready)
        return tuple(done)


def command(pipeline: str, step: str, start: str, end: str, member: str = "") -> tuple[str, ...]:
    """The one command line of a step, or of one of its members, wherever it runs."""
    words = ("riskcast", "run", pipeline, step, "--start", start, "--end", end)
    return (*words, "--member", member) if member else words


def manifest_key(pipeline: str, step: str, run_id: str, member: str = "") -> str:
    """Where below the lake root a step of a run leaves the proof that it has ended well."""
    return f"{_left_by(pipeline, step, run_id, member)}.json"


def failure_key(pipeline: str, step: str, run_id: str, member: str = "") -> str:
    """Where below the lake root a step of a run says what it has failed of."""
    return f"{_left_by(pipeline, step, run_id, member)}.failed.json"


def _left_by(pipeline: str, step: str, run_id: str, member: str) -> str:
    name = f"{step}-{member}" if member else step
    return f"runs/{pipeline}/{sha256(run_id.encode()).hexdigest()[:16]}/{name}"


def tables_written(pipelines: Iterable[Pipeline]) -> dict[str, set[str]]:
    """For each table, the functions that write it, over all pipelines."""
    written: dict[str, set[str]] = {}
    for pipeline in pipelines:
        for step in pipeline.steps:
            for table in (*step.writes, *step.commits):
                written.setdefault(table.name, set()).add(step.run)
    return written


def ancestry(pipelines: Iterable[Pipeline], table: Table) -> tuple[Table, ...]:
    """The table and every table it is made from, however far back, nearest first."""
    steps = [step for pipeline in pipelines for step in pipeline.steps]
    found = [table]
    for each in found:  # grows while it is walked
        parents = (r.table for step in steps if each in step.writes for r in step.reads)
        found += [parent for parent in dict.fromkeys(parents) if parent not in found]
    return tuple(found)
