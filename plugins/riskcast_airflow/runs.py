"""What a run is told: its window, its parameters and whether it repeats the past. Templates."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowException
from airflow.sdk import Param

from riskcast.pipelines import Pipeline

WINDOW = "dag_run, params, triggering_asset_events"
START = f"{{{{ window({WINDOW})[0] }}}}"
END = f"{{{{ window({WINDOW})[1] }}}}"
RUN_ID = "{{ run_id }}"
MODE = "{{ '--backfill' if dag_run.run_type == 'backfill' else '--no-backfill' }}"
BACKFILL = "{{ dag_run.run_type == 'backfill' }}"
DAY = timedelta(days=1)

Window = tuple[str, str]


def window(dag_run: Any, params: Mapping[str, Any], events: Mapping[Any, Any]) -> Window:
    """Return start and end of a run's window, ISO instants.

    The parameters `start` and `end` if they are given; else, for a run that assets started, the
    window of the runs that sent the events, from the first start to the last end; else the data
    interval. A run by hand of a pipeline that has no schedule gets an interval without length from
    Airflow; its window is the day up to there.

    Raises
    ------
    AirflowException
        If none of these says a window.
    """
    if params.get("start") and params.get("end"):
        return _iso(params["start"]), _iso(params["end"])
    sent = [event.extra for each in events for event in events[each] if "as_of" in event.extra]
    if sent:
        return min(_iso(e["start"]) for e in sent), max(_iso(e["as_of"]) for e in sent)
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    if start and end:
        return (start if start < end else end - DAY).isoformat(), end.isoformat()
    raise AirflowException(
        f"run {dag_run.run_id} has no window: it has no data interval, no asset event told one, "
        "and the parameters start and end are empty; trigger it with both"
    )


def params(pipeline: Pipeline) -> dict[str, Param]:
    """Return the trigger form: the window, and what the pipeline takes besides."""
    form = {
        name: Param(None, type=["null", "string"], format="date-time", title=name, description=doc)
        for name, doc in (
            ("start", "Rows known after this instant. Empty, with end: the interval, or a day."),
            ("end", "The run's as-of: rows known up to this instant."),
        )
    }
    for name, doc in pipeline.params.items():
        # No quote, dollar or space: values reach a command line. Null, since the form asks for
        # every field that may not be empty.
        pattern = r"^[\w.:@+/-]*$"
        form[name] = Param(None, type=["null", "string"], pattern=pattern, description=doc)
    return form


def given(pipeline: Pipeline) -> dict[str, str]:
    """Return what the pipeline takes besides its window, as templates."""
    return {name: f"{{{{ (params.{name} or '') }}}}" for name in pipeline.params}


def arguments(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the options of ``riskcast run`` besides pipeline, step and window, as templates."""
    sets = (
        part for name, value in given(pipeline).items() for part in ("--set", f"{name}={value}")
    )
    return ("--run-id", RUN_ID, MODE, *sets)


def shell(words: tuple[str, ...]) -> str:
    """Return a command line whose templates are quoted once they are rendered."""
    return " ".join(
        word.replace(" }}", " | quote }}") if "{{" in word else shlex.quote(word) for word in words
    )


def _iso(text: str) -> str:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise AirflowException(f"{text!r} has no time zone; give UTC, e.g. 2018-12-31T22:05:00Z")
    return instant.isoformat()
