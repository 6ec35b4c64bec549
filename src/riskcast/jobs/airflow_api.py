"""Airflow 3's REST API, as far as running a pipeline over a window needs it. No airflow import."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from riskcast.core import clock
from riskcast.core.errors import StackError
from riskcast.core.window import Window

States = Mapping[str, str]
FINAL = ("success", "failed")
PATIENCE = 120.0  # seconds a busy server may leave one question unanswered


class Airflow:
    """A session with an Airflow server that uses its simple auth manager.

    Parameters
    ----------
    url : str
        Address of the API server, e.g. ``http://127.0.0.1:8085/airflow``.
    user, password : str
        Login of a user that may trigger DAGs.
    timeout : float
        Seconds after which a question is given up and asked again.
    patience : float
        Seconds after which a server that stays silent is given up; waits have their own. One that
        refuses connections is given up at once, except by a wait: it may be starting again.

    Every method raises StackError if the server does not answer or refuses.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        timeout: float = 30.0,
        patience: float = PATIENCE,
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._client = httpx.Client(timeout=timeout)
        self._patience = patience
        self._headers: dict[str, str] = {}

    def close(self) -> None:
        self._client.close()

    def await_dag(self, dag_id: str, *, seconds: float = 120.0) -> None:
        """Wait until the server has parsed the DAG, as it has some time after its start."""
        until = clock.seconds() + seconds
        asked = f"dags/{quote(dag_id)}"
        while self._call("GET", asked, missing_ok=True, until=until).status_code == 404:
            if clock.seconds() > until:
                raise StackError(
                    f"Airflow at {self._url} knows no DAG {dag_id!r} after {seconds:.0f} s; "
                    "see its dag-processor log for import errors"
                )
            time.sleep(1.0)

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's schedule and its queued runs go ahead."""
        self._call("PATCH", f"dags/{quote(dag_id)}", json={"is_paused": False})

    def trigger_dag(self, dag_id: str, window: Window) -> str:
        """Start one run whose data interval is the window; return its run id.

        The id names the window, with a counter from the second run of the same window on: running
        a window again is allowed, since every step is idempotent.
        """
        name = f"window__{_compact(window.start)}__{_compact(window.end)}"
        # Airflow wants it unique in the DAG and not in the future; steps ignore it. A question that
        # was asked twice, because its answer was lost, is known by it.
        asked_at = clock.wall()
        for attempt in range(1, 1000):
            run_id = name if attempt == 1 else f"{name}__{attempt}"
            answer = self._call(
                "POST",
                f"dags/{quote(dag_id)}/dagRuns",
                json={
                    "dag_run_id": run_id,
                    "logical_date": asked_at.isoformat(),
                    "data_interval_start": window.start.isoformat(),
                    "data_interval_end": window.end.isoformat(),
                },
                conflict_ok=True,
            )
            if answer.status_code != 409:
                return str(answer.json()["dag_run_id"])
            there = self._call("GET", _run(dag_id, run_id), missing_ok=True)
            if (
                there.is_success
                and datetime.fromisoformat(there.json()["logical_date"]) == asked_at
            ):
                return run_id
        raise StackError(f"Airflow has 999 runs of {dag_id} named {name}; delete old ones")

    def create_backfill(
        self, dag_id: str, first: datetime, last: datetime, *, again: bool, seconds: float = 600.0
    ) -> int:
        """Ask for a run of every interval whose start lies in ``[first, last]``; return its id.

        While another backfill of the DAG is being closed the server answers 409; that is waited
        out. One of the same range is not: it is what was asked for, its answer having been lost or
        its asker ended.

        Parameters
        ----------
        again : bool
            Whether intervals that have run before are run again.

        Raises
        ------
        StackError
            If the other backfill has not ended after `seconds`.
        """
        until = clock.seconds() + seconds
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": "completed" if again else "none",
            "max_active_runs": 1,
        }
        while True:
            answer = self._call("POST", "backfills", json=body, conflict_ok=True)
            if answer.status_code != 409:
                return int(answer.json()["id"])
            if (same := self._open_backfill(dag_id, first, last)) is not None:
                return same
            if clock.seconds() > until:
                raise StackError(
                    f"another backfill of {dag_id} has not ended after {seconds:.0f} s; see "
                    f"{self._url}/dags/{dag_id}/backfills"
                )
            time.sleep(2.0)

    def _open_backfill(self, dag_id: str, first: datetime, last: datetime) -> int | None:
        """Return the backfill of this very range that has not ended; None if there is none."""
        found = self._call("GET", f"backfills?dag_id={quote(dag_id)}&limit=100").json()
        for each in found["backfills"]:
            spans = [datetime.fromisoformat(each[key]) for key in ("from_date", "to_date")]
            if each["completed_at"] is None and spans == [first, last]:
                return int(each["id"])
        return None

    def await_backfill(
        self, backfill: int, *, seconds: float, progress: Callable[[States], None] | None = None
    ) -> dict[str, str]:
        """Wait until a backfill has ended; return the state of each of its runs.

        Raises
        ------
        StackError
            If it has not ended in time, or a run of it failed.
        """
        until = clock.seconds() + seconds
        while True:
            found = self._call("GET", f"backfills/{backfill}", until=until).json()
            runs = self._backfill_runs(found["dag_id"], backfill, until)
            if progress is not None:
                progress(runs)
            if found["completed_at"]:
                break
            if clock.seconds() > until:
                raise StackError(f"backfill {backfill} has not ended after {seconds:.0f} s: {runs}")
            time.sleep(1.0)
        if failed := [name for name, state in runs.items() if state == "failed"]:
            raise StackError(f"backfill {backfill}: {len(failed)} run(s) failed, first {failed[0]}")
        return runs

    def _backfill_runs(self, dag_id: str, backfill: int, until: float) -> dict[str, str]:
        """Return the state of each run of a backfill by the end of its interval."""
        asked = f"dags/{quote(dag_id)}/dagRuns?run_type=backfill&order_by=logical_date&limit=100"
        runs: dict[str, str] = {}
        offset = 0
        while True:
            page = self._call("GET", f"{asked}&offset={offset}", until=until).json()
            offset += len(page["dag_runs"])
            runs |= {
                run["data_interval_end"]: run["state"]
                for run in page["dag_runs"]
                if run.get("backfill_id", backfill) == backfill
            }
            if offset >= page["total_entries"] or not page["dag_runs"]:
                return runs

    def send_event(self, asset: str, extra: Mapping[str, str]) -> None:
        """Make an event of an asset, as a task's success would.

        Parameters
        ----------
        extra : mapping
            With `start` and `as_of`, ISO instants: the window of the runs it starts.

        Raises
        ------
        StackError
            If no DAG knows the asset.
        """
        found = self._call("GET", f"assets?name_pattern={quote(asset)}&limit=100").json()
        ids = [each["id"] for each in found["assets"] if each["name"] == asset]
        if not ids:
            raise StackError(f"Airflow at {self._url} knows no asset {asset!r}")
        self._call("POST", "assets/events", json={"asset_id": ids[0], "extra": dict(extra)})

    def run_states(self, dag_id: str) -> dict[str, str]:
        """Return the state of each run of a DAG by its run id."""
        answer = self._call("GET", f"dags/{quote(dag_id)}/dagRuns?limit=100")
        return {run["dag_run_id"]: run["state"] for run in answer.json()["dag_runs"]}

    def task_states(
        self, dag_id: str, run_id: str, *, until: float | None = None
    ) -> dict[str, str]:
        """Return the state of each task of a run, ``waiting`` before it has one.

        Of a task that is mapped each instance by its own name, as soon as it has one.
        """
        answer = self._call("GET", f"{_run(dag_id, run_id)}/taskInstances", until=until)
        return {_name(t): t["state"] or "waiting" for t in answer.json()["task_instances"]}

    def wait(
        self,
        dag_id: str,
        run_id: str,
        *,
        seconds: float,
        progress: Callable[[States], None] | None = None,
        every: float = 1.0,
    ) -> None:
        """Wait until a run has ended well.

        Parameters
        ----------
        seconds : float
            Longest wait.
        progress : callable, optional
            Called with the state of every task whenever one has changed.

        Raises
        ------
        StackError
            If the run failed, naming the tasks, or has not ended in time.
        """
        until = clock.seconds() + seconds
        shown: dict[str, str] = {}
        while True:
            # The run first: once it has ended, no task changes any more.
            state = self._call("GET", _run(dag_id, run_id), until=until).json()["state"]
            tasks = self.task_states(dag_id, run_id, until=until)
            if progress is not None and tasks != shown:
                progress(tasks)
                shown = tasks
            if state in FINAL:
                break
            if clock.seconds() > until:
                raise StackError(
                    f"run {run_id} of {dag_id} is {state} after {seconds:.0f} s: {tasks}; "
                    "is the scheduler running and the DAG unpaused?"
                )
            time.sleep(every)
        if state == "failed":
            failed = [name for name, ended in tasks.items() if ended == "failed"]
            raise StackError(
                f"run {run_id} of {dag_id} failed in {', '.join(failed) or 'no task'}; "
                f"logs: {self._url}/dags/{dag_id}/runs/{run_id}"
            )

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        missing_ok: bool = False,
        conflict_ok: bool = False,
        until: float | None = None,
    ) -> httpx.Response:
        if not self._headers:
            self._sign_in(until)
        answer = self._send(method, f"/api/v2/{path}", json, until)
        if answer.status_code == 401:  # the token has run out
            self._sign_in(until)
            answer = self._send(method, f"/api/v2/{path}", json, until)
        expected = {404: missing_ok, 409: conflict_ok}.get(answer.status_code, answer.is_success)
        if not expected:
            raise StackError(
                f"Airflow at {self._url} answered {answer.status_code} to {method} {path}: "
                f"{answer.text[:300]}"
            )
        return answer

    def _sign_in(self, until: float | None) -> None:
        answer = self._send("POST", "/auth/token", self._login, until)
        if answer.status_code != 201:
            raise StackError(
                f"Airflow at {self._url} refused user {self._login['username']!r} "
                f"({answer.status_code}); its password is in the file of the simple auth manager"
            )
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _send(self, method: str, path: str, json: Any, until: float | None) -> httpx.Response:
        """Ask until there is an answer; a wait gives the instant until which it may be absent.

        Asking twice is safe: what we ask to be made is named, or harmless when made again.
        """
        waited_for = httpx.TimeoutException if until is None else httpx.TransportError
        limit = clock.seconds() + self._patience if until is None else until
        while True:
            try:
                return self._client.request(
                    method, self._url + path, json=json, headers=self._headers
                )
            except httpx.HTTPError as error:
                if not isinstance(error, waited_for) or clock.seconds() > limit:
                    said = f"{type(error).__name__} {error}".strip()
                    raise StackError(f"Airflow at {self._url} does not answer: {said}") from error
            time.sleep(1.0)


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _name(task: Mapping[str, Any]) -> str:
    if task.get("map_index", -1) < 0:
        return str(task["task_id"])
    return f"{task['task_id']} {task.get('rendered_map_index') or task['map_index']}"


def _compact(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
