"""One step, or all of a pipeline in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from riskcast.core.clock import seconds
from riskcast.core.errors import DeclarationError
from riskcast.core.load import load
from riskcast.core.window import Window
from riskcast.pipelines import Pipeline, Step
from riskcast.runner.ports import Ports

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did.

    Attributes
    ----------
    rows : mapping of table name to number of rows offered for the window
    versions : mapping of table name to (version before, version after)
    announced : tuple of str
        Assets to make an event of.
    """

    step: str
    seconds: float
    rows: Mapping[str, int]
    versions: Mapping[str, tuple[int | None, int | None]]
    announced: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return any(before != after for before, after in self.versions.values())


def run_step(step: Step, window: Window, ports: Ports, *, member: str = "") -> StepReport:
    """Read the step's tables as of the window's end, call it, write what it returns.

    A step that has members is called for all of them, or for the one named `member`.

    Raises
    ------
    DeclarationError
        If the function returns another number of frames than the step writes, or the step has no
        such member.
    ContractBroken
        If a frame breaks its table's declaration; nothing of that table is written.
    """
    started = seconds()
    lake = ports.lake
    frames = [ports.read(read, step, window) for read in step.reads]
    given = ports.for_step(step, window)
    if members := step.members(member):
        given["members"] = members
    out = _frames(step, load(step.run)(*frames, **given))
    span = Window(BEGINNING, window.end) if step.from_start else window
    rows, versions = {}, {}
    for table, frame in zip(step.writes, out, strict=True):
        before = lake.version(table)
        known = (pl.col("known_at") > span.start) & (pl.col("known_at") <= span.end)
        versions[table.name] = (before, lake.write(table, frame, span))
        rows[table.name] = frame.filter(known).height
    announced = tuple(ports.announced) if "announce" in step.uses else step.emits
    ports.announced.clear()
    if unknown := set(announced) - set(step.emits):
        raise DeclarationError(f"step {step.name} announces {unknown}, which it does not emit")
    made = () if ports.backfill else announced
    return StepReport(step.name, seconds() - started, rows, versions, made)


def _frames(step: Step, returned: object) -> tuple[pl.DataFrame, ...]:
    if returned is None:
        out: tuple[object, ...] = ()
    elif isinstance(returned, tuple):
        out = returned
    else:
        out = (returned,)
    if len(out) != len(step.writes) or not all(isinstance(f, pl.DataFrame) for f in out):
        raise DeclarationError(
            f"{step.run} must return {len(step.writes)} frame(s), got {type(returned).__name__}"
        )
    return tuple(f for f in out if isinstance(f, pl.DataFrame))


def run_pipeline(
    pipeline: Pipeline,
    window: Window,
    ports: Ports,
    *,
    only: str = "",
    member: str = "",
    on_start: Callable[[Step], None] = lambda _step: None,
    on_done: Callable[[StepReport], None] = lambda _report: None,
    on_skip: Callable[[Step], None] = lambda _step: None,
) -> tuple[StepReport, ...]:
    """Run all steps in order, or `only` one, or one `member` of it; stop at the first that fails.

    In a backfill steps that send, deploy or start something are left out, and `on_skip` is told.
    """
    steps = (pipeline.step(only),) if only else pipeline.ordered()
    reports = []
    for step in steps:
        if step.live_only and ports.backfill:
            on_skip(step)
            continue
        on_start(step)
        report = run_step(step, window, ports, member=member)
        on_done(report)
        reports.append(report)
    return tuple(reports)
