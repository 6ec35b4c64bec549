"""The pipelines as targets of EventBridge Scheduler, for an account without Airflow.

One ECS task runs all steps of a pipeline in order. The scheduler hands over the instant it was due
(``<aws.scheduler.scheduled-time>``); the window reaches back from there far enough to cover a long
weekend, which repeats days and changes nothing: every step is idempotent and a published forecast
stands. What starts on an asset has no schedule here.
"""

from __future__ import annotations

from typing import Any

from riskcast.pipelines import PIPELINES, RELEASES, SESSION_CLOSE, Pipeline, Size

DUE = "<aws.scheduler.scheduled-time>"
# EventBridge knows no exchange calendar: on a closed weekday the window holds no new session.
SESSION_CRON = "cron(5 22 ? * MON-FRI *)"
# The bureaus' and the Board's clock times, by New York's own clock; a day without a release adds
# nothing.
RELEASE_CRON = "cron(35 8,10,14 ? * MON-FRI *)"
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def targets() -> dict[str, dict[str, Any]]:
    """Return, by pipeline, the fields of an ``aws_scheduler_schedule`` and its ECS target."""
    return {p.name: _target(p) for p in PIPELINES.values() if p.schedule}


def _target(pipeline: Pipeline) -> dict[str, Any]:
    kind = pipeline.schedule.partition(" ")[0]
    large = any(step.size is Size.LARGE for step in pipeline.steps)
    expression, zone, days = {
        SESSION_CLOSE: (SESSION_CRON, "UTC", 7),
        RELEASES: (RELEASE_CRON, "America/New_York", 7),
    }.get(kind, (_cron(pipeline.schedule), "UTC", 8))
    command = ["riskcast", "run", pipeline.name, "--days", str(days), "--end", DUE]
    return {
        "description": pipeline.doc,
        "schedule_expression": expression,
        "schedule_expression_timezone": zone,
        "flexible_time_window": "OFF",
        "task_size": str(Size.LARGE if large else Size.SMALL),
        "maximum_retry_attempts": 2,
        "maximum_event_age_in_seconds": 3600,
        "input": {"containerOverrides": [{"name": "riskcast", "command": command}]},
    }


def _cron(expression: str) -> str:
    """Return a five-field cron expression with a fixed weekday or none in Amazon's six fields."""
    if expression.startswith("@"):
        return ""
    minute, hour, day, month, weekday = expression.split()
    if weekday == "*":
        return f"cron({minute} {hour} {day} {month} ? *)"
    named = "-".join(WEEKDAYS[int(part)] for part in weekday.split("-"))
    return f"cron({minute} {hour} ? {month} {named} *)"
