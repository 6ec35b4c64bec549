"""A pipeline as a DAG, parametrised by its data interval and by nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from riskcast.core.settings import read_settings
from riskcast.pipelines import Pipeline
from riskcast_airflow.tasks import task
from riskcast_airflow.timetables import AskedForTimetable

# Before the first bar of any model, so that every range can be backfilled. Nothing runs for it on
# its own: catchup is off.
START_DATE = datetime(1990, 1, 1, tzinfo=UTC)


def build_dag(pipeline: Pipeline, doc_md: str | None) -> DAG:
    """Return the DAG of a pipeline: one task per step, in the order the tables dictate.

    A scheduled run's data interval reaches from the previous tick of the cron expression to its
    own, so weekday ticks give one session day a run, Friday to Monday included. A run triggered
    over REST may carry any interval (`riskcast.jobs.airflow_api`). One triggered in the UI without
    an interval gets the last one that is complete, as the schedule would have given it: the
    newest day again.

    Whether a new DAG starts paused is Airflow's own setting ``[core]
    dags_are_paused_at_creation``, True unless it is changed.
    """
    dag = DAG(
        dag_id=pipeline.name,
        description=pipeline.doc,
        doc_md=doc_md,
        # A bare cron string would make zero-length intervals in Airflow 3.
        schedule=_timetable(pipeline.schedule) if pipeline.schedule else None,
        start_date=START_DATE,
        catchup=False,
        # Runs of one pipeline write the same tables.
        max_active_runs=1,
        tags=["riskcast", *pipeline.tags],
        default_args={
            "owner": "riskcast",
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=30),
        },
    )
    with dag:
        tasks = {step.name: task(pipeline, step) for step in pipeline.steps}
    for step in pipeline.steps:
        for before in pipeline.upstream(step):
            tasks[before.name].set_downstream(tasks[step.name])
    return dag


def _timetable(cron: str) -> CronDataIntervalTimetable:
    kind = CronDataIntervalTimetable if read_settings().live else AskedForTimetable
    return kind(cron, timezone="UTC")
