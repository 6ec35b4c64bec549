"""Assets: what a step's success tells other DAGs, and from which window."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from airflow.exceptions import AirflowException
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowFailException

from riskcast.core.s3 import bucket_path, is_s3
from riskcast.core.settings import read_settings
from riskcast.pipelines import Step, failure_key, manifest_key, pipeline

# A longer window is a load of history, which is no news: monitoring would check all its sessions.
LONGEST_NEWS = timedelta(days=90)
log = logging.getLogger(__name__)


def asset(name: str) -> Asset:
    """Return the asset of that name: a table's name, or what a step announces."""
    return Asset(name)  # a URI with a scheme makes Airflow load every provider at parse


def outlets(step: Step) -> list[AssetAlias]:
    """Return the step's outlets. An alias makes no event of its own accord; an asset always does,
    in backfills too (apache/airflow#52665)."""
    return [AssetAlias(_alias(name)) for name in step.emits]


def read_manifest(pipeline: str, step: str, run_id: str, member: str = "") -> dict[str, Any] | None:
    """Return what the step of the run has left in the lake; None if it has left nothing."""
    return _left(manifest_key(pipeline, step, run_id, member))


class Failure(NamedTuple):
    """The error that a step has left."""

    code: str
    error: str
    final: bool  # a verdict: another attempt would end the same

    def __str__(self) -> str:
        return f"[{self.code}] {self.error}"


@contextmanager
def named(context: Any) -> Iterator[None]:
    """Fail with the error that the step has left, if any, not with the number it ended with.

    Raises
    ------
    AirflowFailException
        If the error is final; then there is no retry.
    """
    try:
        yield
    except AirflowException as failed:
        left = failure(context)
        if left is None:
            raise
        kind = AirflowFailException if left.final else AirflowException
        raise kind(str(left)) from failed


def failure(context: Any) -> Failure | None:
    """Return the error that ended the step in this attempt; None if it left none."""
    ti, run_id = context["ti"], context["run_id"]
    said = _left(failure_key(ti.dag_id, ti.task_id, run_id, member_of(ti)))
    if said is None or datetime.fromisoformat(said["finished_at"]) < _began(context):
        return None
    return Failure(said["code"], said["error"], said["final"])


def member_of(ti: Any) -> str:
    """Return the member of its step that a task instance stands for; empty if it has none."""
    over = pipeline(ti.dag_id).step(ti.task_id).over
    return over[ti.map_index] if over else ""


def _began(context: Any) -> datetime:
    began: datetime | None = context["ti"].start_date
    return context["dag_run"].start_date if began is None else began


def _left(key: str) -> dict[str, Any] | None:
    root = read_settings().lake_root
    text = _in_s3(root, key) if is_s3(root) else _in_folder(Path(root) / key)
    return None if text is None else dict(json.loads(text))


def _in_folder(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _in_s3(root: str, key: str) -> str | None:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = bucket_path(root).partition("/")
    hook, path = S3Hook(), f"{prefix}/{key}".lstrip("/")
    try:
        return hook.read_key(path, bucket) if hook.check_for_key(path, bucket) else None
    except (BotoCoreError, ClientError) as error:
        raise AirflowException(f"s3://{bucket}/{path} cannot be read: {error}") from error


def finish(context: Any, _result: Any = None) -> None:
    """Check the manifest of the step that has ended, and make its events.

    Raises
    ------
    AirflowException
        If there is no manifest younger than this attempt: then the step did not end well,
        whatever its container said.
    """
    ti = context["ti"]
    said = read_manifest(ti.dag_id, ti.task_id, context["run_id"], member_of(ti))
    began = _began(context)
    if said is None or datetime.fromisoformat(said["finished_at"]) < began:
        raise AirflowException(
            f"{ti.dag_id}.{ti.task_id} left no manifest since {began}: it was lost before it "
            "ended; clear the task to run it again"
        )
    names = [alias.name.removeprefix("may:") for alias in context["task"].outlets]
    if context["dag_run"].run_type == "backfill":
        if names:
            log.info("backfill: no event of %s is made", ", ".join(names))
        return
    start, as_of = (datetime.fromisoformat(said[key]) for key in ("start", "as_of"))
    if names and as_of - start > LONGEST_NEWS:
        log.info("history since %s: no event of %s is made", start, ", ".join(names))
        return
    extra = {"start": said["start"], "as_of": said["as_of"], "run_id": said["run_id"]}
    for name in said["announced"]:
        log.info("event of %s as of %s", name, said["as_of"])
        context["outlet_events"][AssetAlias(_alias(name))].add(asset(name), extra=extra)


def _alias(name: str) -> str:
    return f"may:{name}"
