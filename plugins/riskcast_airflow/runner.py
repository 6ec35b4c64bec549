"""Has a step run by the runner (`riskcast.worker`) and stays with it until it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
from airflow.exceptions import AirflowException
from airflow.sdk import BaseOperator

from riskcast.core.settings import read_settings
from riskcast_airflow import events

POLL_SECONDS = 1.0
PATIENCE = 120.0  # seconds without an answer after which the step counts as lost
log = logging.getLogger(__name__)


class RunnerOperator(BaseOperator):
    """A step of a pipeline at the runner.

    Asking is safe to repeat: the runner knows a step of a run by its name, begins it once, and
    gives whoever asks again the one that runs. What is lost with the runner itself fails the task,
    and its retry begins the step anew.

    Parameters
    ----------
    runner_url : str
    asked : dict
        Body of the request; its texts may be templates.
    """

    template_fields = ("asked",)

    def __init__(self, *, runner_url: str, asked: dict[str, Any], **common: Any) -> None:
        super().__init__(**common)
        self.runner_url, self.asked = runner_url, asked
        self.begun = ""

    def execute(self, context: Any) -> None:
        """Begin or find the step, log what it logs, and fail when it does.

        Raises
        ------
        AirflowException
            If the step failed, the runner refused it, lost it, or does not answer.
        """
        body = {**self.asked, "attempt": uuid4().hex, "backfill": self.asked["backfill"] == "True"}
        body["params"] = {name: value for name, value in body["params"].items() if value}
        with self._client() as client:
            # 429: other steps take all the runner has; the task's own timeout ends the wait.
            while (answer := self._ask(client, "POST", "/runs", json=body)).status_code == 429:
                log.info("waiting: %s", answer.json()["detail"])
                time.sleep(10 * POLL_SECONDS)
            run = self._read(answer)
            self.begun = run["id"]
            if run["attempt"] != body["attempt"]:
                log.info("found running, begun by an earlier attempt")
            with events.named(context):
                for line in self._follow(client, run):
                    log.info("%s", line)

    def on_kill(self) -> None:
        """End the step when the task is cleared, killed or out of time."""
        if self.begun:
            with self._client() as client:
                self._ask(client, "DELETE", f"/runs/{self.begun}")

    def _client(self) -> httpx.Client:
        token = (read_settings().keys_path / "runner").read_text().strip()
        return httpx.Client(
            base_url=self.runner_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30.0,
            trust_env=False,
        )

    def _follow(self, client: httpx.Client, run: Mapping[str, Any]) -> Iterator[str]:
        """Yield the lines of the step's log until it has ended well."""
        offset = 0
        while True:
            path = f"/runs/{run['id']}"
            said = self._read(self._ask(client, "GET", path, params={"offset": offset}))
            if said["attempt"] != run["attempt"]:
                raise AirflowException(f"the runner has begun {run['id']} anew for somebody else")
            yield from said["log"].splitlines()
            more, offset = said["offset"] > offset, said["offset"]
            if said["state"] != "running" and not more:
                break
            if not more:
                time.sleep(POLL_SECONDS)
        if said["state"] != "succeeded":
            raise AirflowException(f"the step ended with exit code {said['exit_code']}")

    def _ask(self, client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return client.request(method, path, **more)
            except httpx.TransportError as error:
                if time.monotonic() > until:
                    raise AirflowException(
                        f"the runner at {self.runner_url} does not answer: {error!r}"
                    ) from error
                log.warning("the runner does not answer, asking again: %r", error)
                time.sleep(POLL_SECONDS)

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise AirflowException(
                f"the runner answered {answer.status_code} to {answer.request.url.path}: "
                f"{answer.text[:300]}"
            )
        return dict(answer.json())
