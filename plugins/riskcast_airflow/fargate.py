"""A step in a container of its own on Fargate."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import Context

from riskcast_airflow import events


class Container(EcsRunTaskOperator):
    """A container; one that fails is told by the error its step left behind."""

    def execute(self, context: Context) -> Any:
        with events.named(context):
            return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        with events.named(context):
            return super().execute_complete(context, event)
