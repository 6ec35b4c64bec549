"""How a step has ended, left in the lake for whoever started it.

An exit code can be lost together with its container; a file that is written last cannot say too
much. A task counts as done only with a manifest that is younger than its own start. A step that
fails leaves the error that ended it, which an exit code does not say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from riskcast.core.clock import wall
from riskcast.core.errors import LakeError, RiskcastError
from riskcast.core.s3 import bucket_path, is_s3
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import failure_key, manifest_key
from riskcast.runner.run import StepReport

BUG = "bug"  # the code of an error that has no name


def write_manifest(
    settings: Settings,
    pipeline: str,
    run_id: str,
    window: Window,
    report: StepReport,
    *,
    member: str = "",
) -> str:
    """Write the manifest of a step that has succeeded, or of a member; return its address.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    key = manifest_key(pipeline, report.step, run_id, member)
    said: dict[str, Any] = {
        "pipeline": pipeline,
        "step": report.step,
        "run_id": run_id,
        "start": window.start.isoformat(),
        "as_of": window.as_of.isoformat(),
        "finished_at": wall().isoformat(),
        "seconds": round(report.seconds, 3),
        "rows": dict(report.rows),
        "announced": list(report.announced),
    }
    return _put(settings.lake_root, key, json.dumps(said, sort_keys=True))


def write_failure(
    settings: Settings,
    pipeline: str,
    run_id: str,
    step: str,
    error: Exception,
    *,
    member: str = "",
) -> str:
    """Write what ended a step, or one of its members; return its address.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    code, text, final = BUG, f"{type(error).__name__}: {error}", False
    if isinstance(error, RiskcastError):
        code, text, final = error.code, str(error), error.final
    said = {
        "pipeline": pipeline,
        "step": step,
        "run_id": run_id,
        "finished_at": wall().isoformat(),
        "code": code,
        "error": text,
        "final": final,
    }
    key = failure_key(pipeline, step, run_id, member)
    return _put(settings.lake_root, key, json.dumps(said, sort_keys=True))


def _put(root: str, key: str, text: str) -> str:
    if is_s3(root):
        return _put_s3(root, key, text)
    target = Path(root) / key
    beside = target.with_suffix(".new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        raise LakeError(f"{target} cannot be written: {error}") from error
    return str(target)


def _put_s3(root: str, key: str, text: str) -> str:
    import boto3  # paid for by lakes in S3 only
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = bucket_path(root).partition("/")
    path = f"{prefix}/{key}".lstrip("/")
    try:
        boto3.client("s3").put_object(Bucket=bucket, Key=path, Body=text.encode())
    except (BotoCoreError, ClientError) as error:
        raise LakeError(f"s3://{bucket}/{path} cannot be written: {error}") from error
    return f"s3://{bucket}/{path}"
