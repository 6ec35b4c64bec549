"""What Terraform is told of tables and steps, from their declarations: terraform/declared.json.

A step's role may touch the tables the step declares, so a new table or step brings its own
permissions with it.
"""

from __future__ import annotations

import json
from typing import Any

from riskcast.jobs.cloudwatch import NAMESPACE, WATCHED
from riskcast.jobs.eventbridge import targets
from riskcast.pipelines import PIPELINES, Pipeline, Size, Step
from riskcast.tables import TABLES, Table
from riskcast.tables.spec import INGESTED_AT, Kind

GLUE = {
    Kind.TEXT: "string",
    Kind.FLOAT: "double",
    Kind.INT: "bigint",
    Kind.BOOL: "boolean",
    Kind.DATE: "date",
    Kind.INSTANT: "timestamp",
    Kind.TEXTS: "array<string>",
    Kind.FLOATS: "array<double>",
}
PUBLISHED = "published"
RUNS = "runs"  # manifests of steps that have ended well
# Ports that open more of the lake than the tables a step declares.
WHOLE_LAKE = "lake"
# What a step reaches besides the lake. Ports say most; these functions say the rest.
PORTS = {"registry": "registry", "source": "vendors"}
REACHES = {
    "riskcast.jobs.mirror:mirror": "mirror",
    "riskcast.jobs.materialise:materialise": "online",
    "riskcast.jobs.train:register": "traffic",
    "riskcast.jobs.deploy:deploy": "traffic",
    "riskcast.jobs.deploy:rollback": "traffic",
    "riskcast.jobs.deploy:guard": "traffic",
    "riskcast.jobs.cloudwatch:publish": "metrics",
    "riskcast.jobs.notify:notify": "mail",
    "riskcast.jobs.notify:tell": "mail",
}
PUBLISHERS = {"riskcast.jobs.publish:publish"}
PUBLISHED_READERS = {"riskcast.jobs.materialise:materialise"}
COMMENT_LIMIT = 255  # characters of a column's comment in Glue


def declared() -> str:
    """Return the JSON text: `tables` for Glue, `tasks` for ECS, `schedules`, `metrics`."""
    return (
        json.dumps(
            {
                "tables": _tables(),
                "tasks": _tasks(),
                "schedules": _schedules(),
                "metrics": {"namespace": NAMESPACE, **WATCHED},
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def _tables() -> dict[str, Any]:
    said = {_glue_name(t.name): _table(t, t.path, "delta") for t in TABLES.values()}
    for table in TABLES.values():
        if table.published:
            name = f"{PUBLISHED}_{_glue_name(table.name)}"
            said[name] = _table(table, f"{PUBLISHED}/{table.name}", "parquet")
    return said


def _table(table: Table, location: str, form: str) -> dict[str, Any]:
    columns = [c for c in table.every_column if form == "delta" or c != INGESTED_AT]
    return {
        "description": table.doc,
        "location": location,
        "format": form,
        "columns": [
            {"name": c.name, "type": GLUE[c.kind], "comment": c.doc[:COMMENT_LIMIT]}
            for c in columns
        ],
    }


def _glue_name(name: str) -> str:
    return name.replace(".", "_")


def _tasks() -> dict[str, Any]:
    said: dict[str, Any] = {}
    for pipeline in PIPELINES.values():
        steps = [_task(pipeline, step) for step in pipeline.ordered()]
        # The whole pipeline in one task, for a scheduler that knows no steps.
        said[pipeline.name] = {
            "command": ["riskcast", "run", pipeline.name],
            "size": max((step.size for step in pipeline.steps), key=list(Size).index),
            **{
                key: _once(value for step in steps for value in step[key])
                for key in ("reads", "writes", "services")
            },
        }
        said |= {
            f"{pipeline.name}-{step.name}": task
            for step, task in zip(pipeline.ordered(), steps, strict=True)
        }
    return said


def _task(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    reads = [read.table.path for read in step.reads]
    writes = [table.path for table in (*step.writes, *step.commits)]
    if WHOLE_LAKE in step.uses:
        reads += [table.path for table in TABLES.values()]
    if step.run in PUBLISHED_READERS or any(read.retrieved for read in step.reads):
        reads.append(PUBLISHED)
    if step.run in PUBLISHERS:
        writes.append(PUBLISHED)
    reached = [PORTS[port] for port in step.uses if port in PORTS]
    reached += [REACHES[step.run]] if step.run in REACHES else []
    return {
        "command": ["riskcast", "run", pipeline.name, step.name],
        "size": step.size,
        "reads": _once(reads),
        "writes": _once([*writes, RUNS]),
        "services": _once(reached),
    }


def _schedules() -> dict[str, Any]:
    return {
        name: {
            "schedule": target["schedule_expression"],
            "timezone": target["schedule_expression_timezone"],
            "command": target["input"]["containerOverrides"][0]["command"],
        }
        for name, target in targets().items()
    }


def _once(values: Any) -> list[str]:
    return sorted(set(values))
