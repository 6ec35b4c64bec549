"""A step as an operator, for each place a step can run. No step's own code is imported here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator, Context

from riskcast.core.settings import read_settings
from riskcast.pipelines import Pipeline, Size, Step, command
from riskcast_airflow import events, runs
from riskcast_airflow.runner import RunnerOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    Task: TypeAlias = BaseOperator | MappedOperator

POOL = "riskcast"
WAITER_SECONDS = 15
TIMEOUTS = {Size.SMALL: timedelta(minutes=30), Size.LARGE: timedelta(hours=6)}


class Command(BashOperator):
    """A child process; one that fails is told by the error it left behind, not by a number."""

    def execute(self, context: Context) -> Any:
        with events.named(context):
            return super().execute(context)


def here(pipeline: Pipeline, step: Step) -> Task:
    """Return a task that runs the step as a child process of the worker.

    The child is a process group of its own, ended by SIGTERM when the task is cleared, killed or
    out of time. It inherits the worker's environment, so ``RISKCAST_`` settings pass through, and
    its folder, so that relative paths in them mean what they mean to the worker.
    """

    def line(member: str) -> str:
        name, *rest = words(pipeline, step, member)
        return "exec " + runs.shell((str(Path(sys.executable).with_name(name)), *rest))

    return fan(
        Command,
        step,
        "bash_command",
        line,
        cwd=str(Path.cwd()),
        # LightGBM and XGBoost side by side starve each other when idle threads spin.
        env={"OMP_WAIT_POLICY": "PASSIVE"},
        append_env=True,
        skip_on_exit_code=None,
        # The exit code of a child is proof enough; what it announces stands in its manifest.
        post_execute=events.finish if step.emits else None,
        **common(step),
    )


def docker(pipeline: Pipeline, step: Step) -> Task:
    """Return a task that has the step run by the runner, another container, and shows its log.

    No worker needs Docker's socket, which is root on the machine. A task that is begun anew after
    its scheduler was killed finds the step where it runs.
    """

    def asked(member: str) -> dict[str, Any]:
        return {
            "pipeline": pipeline.name,
            "step": step.name,
            "member": member,
            "start": runs.START,
            "end": runs.END,
            "run_id": runs.RUN_ID,
            "backfill": runs.BACKFILL,
            "params": runs.given(pipeline),
        }

    return fan(
        RunnerOperator,
        step,
        "asked",
        asked,
        runner_url=read_settings().runner_url,
        post_execute=events.finish,
        **common(step),
    )


def ecs(pipeline: Pipeline, step: Step) -> Task:
    """Return a task that runs the step on Fargate and waits without a worker.

    A retry first looks for the container of the attempt before. A container that was lost, or
    never began, leaves no manifest and so never counts as success (apache/airflow#41487, #52943).
    """
    # Imported here: the provider takes a second that other places need not spend.
    from riskcast_airflow.fargate import Container

    settings = read_settings()

    def overrides(member: str) -> dict[str, Any]:
        command = list(words(pipeline, step, member))
        return {"containerOverrides": [{"name": "riskcast", "command": command}]}

    logs = (
        {"awslogs_group": settings.ecs_log_group, "awslogs_stream_prefix": "riskcast/riskcast"}
        if settings.ecs_log_group
        else {}
    )
    return fan(
        Container,
        step,
        "overrides",
        overrides,
        cluster=settings.ecs_cluster,
        # One a step, because each has a role of its own.
        task_definition=f"{settings.ecs_task}-{pipeline.name}-{step.name}",
        launch_type="FARGATE",
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


PLACES: dict[str, Callable[[Pipeline, Step], Task]] = {
    "here": here,
    "docker": docker,
    "ecs": ecs,
}


def task(pipeline: Pipeline, step: Step) -> Task:
    """Return the step as a task for the place named by ``RISKCAST_PLACE``."""
    return PLACES[read_settings().place](pipeline, step)


def fan(
    operator: type[BaseOperator], step: Step, name: str, value: Callable[[str], Any], **fixed: Any
) -> Task:
    """Return one task, or for a step of members one that is mapped over them, side by side.

    Parameters
    ----------
    name : str
        The argument of `operator` in which members differ.
    value : callable
        Returns it for a member; given the empty text for a step without members.
    """
    if not step.over:
        return operator(**{name: value("")}, **fixed)
    shown = f"{{{{ {list(step.over)}[ti.map_index] }}}}"
    one = operator.partial(map_index_template=shown, **fixed)
    mapped: MappedOperator = one.expand(**{name: [value(member) for member in step.over]})
    return mapped


def words(pipeline: Pipeline, step: Step, member: str = "") -> tuple[str, ...]:
    """Return the step's command line, word by word, with the run's own values as templates."""
    asked = command(pipeline.name, step.name, runs.START, runs.END, member)
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
    # A large step takes the whole machine: two of them would starve each other of memory. Each
    # member of one does a part of the work.
    whole = step.size is Size.LARGE and not step.over
    return {"pool": POOL, "pool_slots": int(settings.cores) if whole else 1}


def _doc(step: Step) -> str:
    reads = ", ".join(f"`{read.table.name}`" for read in step.reads) or "nothing"
    writes = ", ".join(f"`{table.name}`" for table in step.writes) or "no table"
    return f"`{step.run}` reads {reads} and writes {writes}."
