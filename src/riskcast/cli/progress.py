"""How far work has come: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from riskcast.core.clock import seconds
from riskcast.pipelines import Step
from riskcast.runner import StepReport

# A log file has no width to fit; wrapping at 80 would break lines that people grep.
_WIDTH = None if sys.stderr.isatty() else 140
console = Console(stderr=True, highlight=False, width=_WIDTH)
answer = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


class Display:
    """Shows steps and the candidates inside a long one; also sums up where the time went."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._began: dict[str, float] = {}

    def step_started(self, step: Step) -> None:
        if self._bars is not None:
            self._tasks[step.name] = self._bars.add_task(step.name, total=None)

    def step_done(self, report: StepReport) -> None:
        self.reports.append(report)
        if self._bars is not None:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks.clear()
        rows = ", ".join(f"{name} {count:,} rows" for name, count in report.rows.items())
        note = "" if report.changed or not report.rows else "  [dim]unchanged[/dim]"
        console.print(f"  [green]✓[/green] {report.step:<16} {report.seconds:6.1f} s  {rows}{note}")
        if report.announced:
            console.print(f"    announces {', '.join(report.announced)}")

    def step_skipped(self, step: Step) -> None:
        """Report that a backfill leaves the step out."""
        console.print(
            f"  [yellow]–[/yellow] {step.name:<16} left out: this is a backfill, which sends, "
            "deploys and starts nothing"
        )

    def new_run(self) -> None:
        """Forget the tasks of the run before: the next one has tasks of the same names."""
        self._states.clear()
        self._began.clear()

    def tasks(self, states: Mapping[str, str]) -> None:
        """Report the states of an Airflow run's tasks; each change is told once."""
        for name, state in states.items():
            if state in ("running", "success", "failed") and self._states.get(name) != state:
                self._states[name] = state
                mark = {"success": "[green]✓[/green]", "failed": "[red]✗[/red]"}.get(state, "…")
                now = seconds()
                took = now - self._began.setdefault(name, now)
                if state != "running":
                    console.print(f"  {mark} {name:<16} {took:6.1f} s")

    def process(self, name: str, state: str, took: float) -> None:
        """Report that a server of the stack has reached a state."""
        if state != "starting":
            console.print(f"  [green]✓[/green] {name:<22} {took:6.1f} s  {state}")

    def part(self, name: str, done: int, total: int) -> None:
        """Report that `done` of `total` parts of `name` are finished."""
        if self._bars is not None:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(f"  {name}", total=total)
            self._bars.update(self._tasks[name], completed=done, total=total)
        elif done * 4 // total > self._said.get(name, 0):
            self._said[name] = done * 4 // total
            console.print(f"    {name} {done}/{total}")


@contextmanager
def display() -> Iterator[Display]:
    """Show progress while the block runs."""
    shown = Display()
    if not console.is_terminal:
        yield shown
        return
    with Progress(
        TextColumn("  {task.description:<18}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bars:
        shown._bars = bars
        yield shown
