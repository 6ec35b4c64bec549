"""A scheduler on a simulated clock: the plugin's timetables say when, the pipelines say what.

It does with a run what Airflow does with it: tasks in the order of the tables, each with its tries,
what waits for a failed one left out, a mail when the last try fails, and runs for the events that
tasks make. The clock of the whole process moves with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import time_machine
from tests.dags import airflow_home  # noqa: F401, before airflow is imported

from airflow.sdk import AssetAlias  # isort: skip
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import instance

from riskcast.core.clock import seconds
from riskcast.core.errors import RiskcastError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import PIPELINES, Pipeline, Step
from riskcast.runner import Ports, run_step, write_manifest
from riskcast.sources import Source
from riskcast_airflow import events, mails, runs
from riskcast_airflow.dag import START_DATE, build_dag

POLL = timedelta(minutes=30)
LIVE = TimeRestriction(earliest=instance(START_DATE), latest=None, catchup=False)
FAILED, LEFT_OUT, DONE = "failed", "upstream_failed", "success"


@dataclass
class Run:
    """A run of a pipeline: what started it, its window, how each task ended after how many tries.

    Attributes
    ----------
    cause : str
        ``scheduled``, or the name of the asset whose event started it.
    """

    pipeline: Pipeline
    cause: str
    window: Window
    at: datetime
    tasks: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def run_id(self) -> str:
        return f"{self.cause}__{self.at.isoformat()}"

    @property
    def failed(self) -> bool:
        return FAILED in self.tasks.values()


class _Outlets(dict[AssetAlias, Any]):
    """What Airflow hands a task to make events with."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []

    def __getitem__(self, _alias: AssetAlias) -> Any:
        return SimpleNamespace(add=lambda asset, extra: self.made.append((asset.name, extra)))


class Scheduler:
    """Runs what is due, one task at a time.

    Parameters
    ----------
    settings : Settings
        Those of the environment, which the plugin reads by itself.
    say : callable
        Told each run as it ends.
    """

    def __init__(
        self, settings: Settings, source: Source, say: Callable[[Run], None] = lambda _run: None
    ) -> None:
        self.settings, self.source, self.say = settings, source, say
        self.runs: list[Run] = []
        dags = {name: build_dag(each, None) for name, each in PIPELINES.items()}
        self.timetables = {
            name: getattr(dags[name].timetable, "timetable", dags[name].timetable)
            for name, each in PIPELINES.items()
            if each.schedule
        }
        self.last: dict[str, DataInterval] = {}
        self._told: list[tuple[str, dict[str, Any]]] = []

    def live(self, first: datetime, last: datetime) -> None:
        """Live from one instant to another. What was due before `first` counts as run."""
        with time_machine.travel(first, tick=True) as self.clock:
            for name, timetable in self.timetables.items():
                due = timetable.next_dagrun_info(
                    last_automated_data_interval=None, restriction=LIVE
                )
                self.last[name] = due.data_interval
            now = first
            while now <= last:
                self.clock.move_to(now)
                for name, interval in self._due(now):
                    self._start(PIPELINES[name], "scheduled", now, interval=interval)
                now += POLL

    def _due(self, now: datetime) -> Iterator[tuple[str, DataInterval]]:
        for name, timetable in self.timetables.items():
            info = timetable.next_dagrun_info(
                last_automated_data_interval=self.last[name], restriction=LIVE
            )
            if info is not None and info.run_after <= now:
                self.last[name] = info.data_interval
                yield name, info.data_interval

    def _start(
        self,
        pipeline: Pipeline,
        cause: str,
        now: datetime,
        *,
        interval: DataInterval | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        dag_run = SimpleNamespace(
            run_id=f"{cause}__{now.isoformat()}",
            data_interval_start=None if interval is None else interval.start,
            data_interval_end=None if interval is None else interval.end,
        )
        sent = {} if extra is None else {cause: [SimpleNamespace(extra=extra)]}
        run = Run(pipeline, cause, Window.parse(*runs.window(dag_run, {}, sent)), now)
        self.runs.append(run)
        self._carry_out(run)

    def _carry_out(self, run: Run) -> None:
        began = seconds()
        for step in run.pipeline.ordered():
            before = {run.tasks[each.name] for each in run.pipeline.upstream(step)}
            run.tasks[step.name] = self._task(run, step) if before <= {DONE} else LEFT_OUT
        run.seconds = seconds() - began
        self.say(run)
        told, self._told = self._told, []
        for asset, extra in told:
            for other in PIPELINES.values():
                if asset in other.on:
                    self._start(other, asset, run.at, extra=extra)

    def _task(self, run: Run, step: Step) -> str:
        began = datetime.now(UTC)
        context = {
            "ti": SimpleNamespace(
                dag_id=run.pipeline.name,
                task_id=step.name,
                map_index=-1,
                start_date=began,
                try_number=0,
                log_url=f"http://127.0.0.1/airflow/dags/{run.pipeline.name}/tasks/{step.name}",
            ),
            "dag_run": SimpleNamespace(run_id=run.run_id, run_type="scheduled", start_date=run.at),
            "run_id": run.run_id,
            "task": SimpleNamespace(outlets=events.outlets(step)),
            "outlet_events": _Outlets(),
        }
        ports = Ports(self.settings)
        ports.source = self.source
        for number in range(1, step.retries + 2):
            run.tries[step.name] = context["ti"].try_number = number
            try:
                report = run_step(step, run.window, ports)
            except (RiskcastError, OSError) as error:
                context["exception"] = error
                self.clock.shift(timedelta(minutes=2 ** (number - 1)))
                continue
            write_manifest(self.settings, run.pipeline.name, run.run_id, run.window, report)
            if step.emits:
                events.finish(context)
                self._told += context["outlet_events"].made
            return DONE
        mails.failed(context)
        return FAILED
