"""A step as an operator, for each place a step can run. No step's own code is imported here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator

from riskcast.core.settings import read_settings
from riskcast.pipelines import Pipeline, Size, Step, command

START = "{{ data_interval_start.isoformat() }}"
END = "{{ data_interval_end.isoformat() }}"

TIMEOUTS = {Size.SMALL: timedelta(minutes=30), Size.LARGE: timedelta(hours=6)}


def here(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return a task that runs the step as a child process of the worker.

    The child is a process group of its own, ended by SIGTERM when the task is cleared, killed or
    out of time. It inherits the worker's environment, so ``RISKCAST_`` settings pass through, and
    its folder, so that relative paths in them mean what they mean to the worker.
    """
    name, *arguments = command(pipeline.name, step.name, START, END)
    executable = str(Path(sys.executable).with_name(name))
    return BashOperator(
        task_id=step.name,
        bash_command="exec " + " ".join([shlex.quote(executable), *map(_quoted, arguments)]),
        cwd=str(Path.cwd()),
        # LightGBM and XGBoost side by side starve each other when idle threads spin.
        env={"OMP_WAIT_POLICY": "PASSIVE"},
        append_env=True,
        skip_on_exit_code=None,
        do_xcom_push=False,
        retries=step.retries,
        execution_timeout=TIMEOUTS[step.size],
        doc_md=_doc(step),
    )


PLACES: dict[str, Callable[[Pipeline, Step], BaseOperator]] = {"here": here}


def task(pipeline: Pipeline, step: Step) -> BaseOperator:
    """Return the step as a task for the place named by ``RISKCAST_PLACE``."""
    return PLACES[read_settings().place](pipeline, step)


def _quoted(argument: str) -> str:
    # shlex would quote the quotes inside a template; an ISO instant needs none of its own.
    return argument if argument in (START, END) else shlex.quote(argument)


def _doc(step: Step) -> str:
    reads = ", ".join(f"`{read.table.name}`" for read in step.reads) or "nothing"
    writes = ", ".join(f"`{table.name}`" for table in step.writes) or "no table"
    return f"`{step.run}` reads {reads} and writes {writes}."
