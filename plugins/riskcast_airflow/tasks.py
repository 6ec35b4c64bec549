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

POOL = "riskcast"
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
        **common(step),
    )


PLACES: dict[str, Callable[[Pipeline, Step], BaseOperator]] = {"here": here}


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
        "pool": POOL,
        # A large step takes the whole machine: two of them would starve each other of memory.
        "pool_slots": int(read_settings().cores) if step.size is Size.LARGE else 1,
        "outlets": events.outlets(step),
        "doc_md": _doc(step),
    }


def _doc(step: Step) -> str:
    reads = ", ".join(f"`{read.table.name}`" for read in step.reads) or "nothing"
    writes = ", ".join(f"`{table.name}`" for table in step.writes) or "no table"
    return f"`{step.run}` reads {reads} and writes {writes}."
