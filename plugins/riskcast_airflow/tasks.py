"""A step as an operator, for each place a step can run. No step's own code is imported here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator

from riskcast.core.settings import read_settings
from riskcast.pipelines import Pipeline, Size, Step, command
from riskcast_airflow import events, runs
from riskcast_airflow.runner import RunnerOperator

POOL = "riskcast"
WAITER_SECONDS = 15
TIMEOUTS = {Size.SMALL: timedelta(minutes=30), Size.LARGE: timedelta(hours=6)}


def here(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return a task that runs the step as a child process of the worker.

    The child is a process group of its own, ended by SIGTERM when the task is cleared, killed or
    out of time. It inherits the worker's environment, so ``RISKCAST_`` settings pass through, and
    its folder, so that relative paths in them mean what they mean to the worker.
    """
    name, *rest = words(pipeline, step)
    executable = str(Path(sys.executable).with_name(name))
    return BashOperator(
        bash_command="exec " + runs.shell((executable, *rest)),
        cwd=str(Path.cwd()),
        # LightGBM and XGBoost side by side starve each other when idle threads spin.
        env={"OMP_WAIT_POLICY": "PASSIVE"},
        append_env=True,
        skip_on_exit_code=None,
        # The exit code of a child is proof enough; what it announces stands in its manifest.
        post_execute=events.finish if step.emits else None,
        **common(step),
    )


def docker(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return a task that has the step run by the runner, another container, and shows its log.

    No worker needs Docker's socket, which is root on the machine. A task that is begun anew after
    its scheduler was killed finds the step where it runs.
    """
    settings = read_settings()
    return RunnerOperator(
        runner_url=settings.runner_url,
        asked={
            "pipeline": pipeline.name,
            "step": step.name,
            "start": runs.START,
            "end": runs.END,
            "run_id": runs.RUN_ID,
            "backfill": runs.BACKFILL,
            "params": runs.given(pipeline),
        },
        post_execute=events.finish,
        **common(step),
    )


def ecs(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return a task that runs the step on Fargate and waits without a worker.

    A retry first looks for the container of the attempt before. A container that was lost, or
    never began, leaves no manifest and so never counts as success (apache/airflow#41487, #52943).
    """
    # Imported here: the provider takes a second that other places need not spend.
    from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

    settings = read_settings()
    container = {"name": "riskcast", "command": list(words(pipeline, step))}
    logs = (
        {"awslogs_group": settings.ecs_log_group, "awslogs_stream_prefix": "riskcast/riskcast"}
        if settings.ecs_log_group
        else {}
    )
    return EcsRunTaskOperator(
        cluster=settings.ecs_cluster,
        # One a step, because each has a role of its own.
        task_definition=f"{settings.ecs_task}-{pipeline.name}-{step.name}",
        launch_type="FARGATE",
        overrides={"containerOverrides": [container]},
        network_configuration={
            "awsvpcConfiguration": {
                "subnets": settings.ecs_subnets.split(","),
                "securityGroups": settings.ecs_security_groups.split(","),
                "assignPublicIp": "DISABLED",
            }
        },
        container_name="riskcast",
        propagate_tags="TASK_DEFINITION",
        deferrable=True,
        reattach=True,
        # Deferred tasks ignore execution_timeout (apache/airflow#32580): the waiter gives up.
        waiter_delay=WAITER_SECONDS,
        waiter_max_attempts=int(TIMEOUTS[step.size].total_seconds()) // WAITER_SECONDS,
        post_execute=events.finish,
        **logs,
        **common(step),
    )


PLACES: dict[str, Callable[[Pipeline, Step], BaseOperator]] = {
    "here": here,
    "docker": docker,
    "ecs": ecs,
}


def task(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return the step as a task for the place named by ``RISKCAST_PLACE``."""
    return PLACES[read_settings().place](pipeline, step)


def words(pipeline: Pipeline, step: Step) -> tuple[str, ...]:
    """Return the step's command line, word by word, with the run's own values as templates."""
    asked = command(pipeline.name, step.name, runs.START, runs.END)
    return (*asked, *runs.arguments(pipeline))


def common(step: Step) -> dict[str, Any]:
    """Return what a task of the step is told in every place."""
    return {
        "task_id": step.name,
        "do_xcom_push": False,
        "retries": step.retries,
        "execution_timeout": TIMEOUTS[step.size],
        **_pool(step),
        "outlets": events.outlets(step),
        "doc_md": _doc(step),
    }


def _pool(step: Step) -> dict[str, Any]:
    settings = read_settings()
    if settings.place == "ecs":  # every container has a machine of its own
        return {}
    # A large step takes the whole machine: two of them would starve each other of memory.
    return {"pool": POOL, "pool_slots": int(settings.cores) if step.size is Size.LARGE else 1}


def _doc(step: Step) -> str:
    reads = ", ".join(f"`{read.table.name}`" for read in step.reads) or "nothing"
    writes = ", ".join(f"`{table.name}`" for table in step.writes) or "no table"
    return f"`{step.run}` reads {reads} and writes {writes}."
