"""A local stand-in for Fargate: it runs what tasks and services of moto's ECS ask for.

moto keeps ECS's records and runs nothing. Here a task's command becomes a child process with the
environment and the secrets of its definition, and a service's newest definition is given to
whoever starts its servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from moto.ecs.models import ecs_backends
from tests.aws.recorder import Recorder

ACCOUNT, REGION = "123456789012", "us-east-1"
BIN = f"{Path(sys.executable).parent}{os.pathsep}"
# What a test's process has that a container has not.
FOREIGN = ("RISKCAST_", "AWS_", "MLFLOW_")


class Fargate:
    """Runs tasks until closed.

    Parameters
    ----------
    serve : callable (service, definition) to bool, optional
        Starts what a service is to run and says whether it lives; called again whenever the
        definition changes.
    """

    def __init__(
        self,
        cloud: Recorder,
        cluster: str,
        serve: Callable[[str, Mapping[str, Any]], bool] = lambda _s, _d: True,
    ) -> None:
        self.cluster, self.ended = cluster, []  # type: tuple[str, list[subprocess.CompletedProcess]]
        self._cloud, self._serve, self._running = cloud, serve, {}  # type: Any
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(60)

    def _live(self) -> None:
        backend = ecs_backends[ACCOUNT][REGION]
        while not self._stopped.wait(0.1):
            for task in list(backend.tasks.get(self.cluster, {}).values()):
                if task.last_status != "STOPPED":
                    self._run(task)
            for service in list(backend.services.values()):
                if service.cluster_name == self.cluster:
                    self._keep(service)

    def _run(self, task: Any) -> None:
        definition = _definition(task.task_definition_arn)
        (override,) = task.overrides["containerOverrides"]
        words = override["command"]
        program = [sys.executable, "-c", "from riskcast.cli import main; main()", *words[1:]]
        done = subprocess.run(
            words if words[0] != "riskcast" else program,
            env=self.environment(definition) | {"PATH": BIN + os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        self.ended.append(done)
        for container in task.containers:
            container.last_status, container.exit_code = "STOPPED", done.returncode
            container.exitCode = done.returncode
        task.status = task.last_status = "STOPPED"

    def _keep(self, service: Any) -> None:
        wanted = service.task_definition
        if self._running.get(service.name) == wanted:
            return
        service.deployments[:] = [
            {**service.deployments[0], "taskDefinition": wanted, "rolloutState": "IN_PROGRESS"}
        ]
        lives = self._serve(service.name, _definition(wanted))
        self._running[service.name] = wanted
        service.running_count, service.pending_count = service.desired_count if lives else 0, 0
        service.deployments[0]["rolloutState"] = "COMPLETED" if lives else "FAILED"

    def environment(self, definition: Mapping[str, Any]) -> dict[str, str]:
        """Return what ECS hands to the container: its variables, its secrets, its role."""
        (container,) = definition["containerDefinitions"]
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(FOREIGN)}
        said = {each["name"]: each["value"] for each in container.get("environment", [])}
        secrets = {e["name"]: _secret(e["valueFrom"]) for e in container.get("secrets", [])}
        role = definition.get("taskRoleArn", definition["family"]).rpartition("/")[2]
        return {**inherited, **self._cloud.environment(role), **said, **secrets}


def _definition(arn: str) -> Mapping[str, Any]:
    return boto3.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]


def _secret(value_from: str) -> str:
    """Return what ECS reads: a secret by ARN, or one key of it by ARN:key::."""
    import json

    parts = value_from.split(":")
    said = boto3.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))
    text = said["SecretString"]
    return text if len(parts) < 8 else str(json.loads(text)[parts[7]])


def until(true: Callable[[], bool], *, seconds: float = 900.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
