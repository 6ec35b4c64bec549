"""A pipeline as a DAG, parametrised by its window and by nothing else."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, AssetAny, AssetOrTimeSchedule
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.timetables.base import Timetable
from airflow.timetables.interval import CronDataIntervalTimetable

from riskcast.core.settings import read_settings
from riskcast.pipelines import RELEASES, SESSION_CLOSE, Pipeline
from riskcast_airflow import events, mails, runs
from riskcast_airflow.tasks import task
from riskcast_airflow.timetables import (
    AskedForTimetable,
    ReleaseCalendarTimetable,
    SessionCloseTimetable,
)

# Before the first bar of any model, so that every range can be backfilled. Nothing runs for it on
# its own: catchup is off.
START_DATE = datetime(1990, 1, 1, tzinfo=UTC)


def build_dag(pipeline: Pipeline, doc_md: str | None) -> DAG:
    """Return the DAG of a pipeline: one task per step, in the order the tables dictate.

    The window of a run is its data interval, from the previous tick of its timetable to its own;
    for a run that assets started, the window of the run that sent the event; for a run by hand,
    the parameters `start` and `end` where given (`runs.window`). One triggered without them gets
    the last complete interval by the clock of the data.

    Whether a new DAG starts paused is Airflow's own setting ``[core]
    dags_are_paused_at_creation``, True unless it is changed.
    """
    dag = DAG(
        dag_id=pipeline.name,
        description=pipeline.doc,
        doc_md=doc_md,
        schedule=_schedule(pipeline),
        start_date=START_DATE,
        catchup=False,
        # Runs of one pipeline write the same tables.
        max_active_runs=1,
        tags=["riskcast", *pipeline.tags],
        params=runs.params(pipeline),
        user_defined_macros={"window": runs.window},
        user_defined_filters={"quote": shlex.quote},
        deadline=_deadline(pipeline),
        default_args={
            "owner": "riskcast",
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=30),
            "on_failure_callback": mails.failed,
        },
    )
    with dag:
        tasks = {step.name: task(pipeline, step) for step in pipeline.steps}
    for step in pipeline.steps:
        for before in pipeline.upstream(step):
            tasks[before.name].set_downstream(tasks[step.name])
    return dag


def _schedule(pipeline: Pipeline) -> Any:
    timetable = _timetable(pipeline.schedule) if pipeline.schedule else None
    assets = AssetAny(*(events.asset(name) for name in pipeline.on)) if pipeline.on else None
    if timetable is not None and assets is not None:
        return AssetOrTimeSchedule(timetable=timetable, assets=assets)
    return assets if timetable is None else timetable


def _timetable(schedule: str) -> Timetable:
    kind, _, named = schedule.partition(" ")
    asked_for = not read_settings().live
    if kind == SESSION_CLOSE:
        return SessionCloseTimetable(asked_for=asked_for)
    if kind == RELEASES:
        return ReleaseCalendarTimetable(named.split(), asked_for=asked_for)
    # A bare cron string would make zero-length intervals in Airflow 3.
    return (AskedForTimetable if asked_for else CronDataIntervalTimetable)(schedule, timezone="UTC")


def _deadline(pipeline: Pipeline) -> DeadlineAlert | None:
    if pipeline.due is None:
        return None
    # From when it was queued: a backfill of years ago is not late.
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=pipeline.due,
        callback=AsyncCallback(mails.late, {"dag_id": pipeline.name}),
    )
