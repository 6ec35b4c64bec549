"""Proof that a step has ended well, left in the lake for whoever started it.

An exit code can be lost together with its container; a file that is written last cannot say too
much. A task counts as done only with a manifest that is younger than its own start.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from riskcast.core.clock import wall
from riskcast.core.s3 import bucket_path, is_s3
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import manifest_key
from riskcast.runner.run import StepReport


def write_manifest(
    settings: Settings, pipeline: str, run_id: str, window: Window, report: StepReport
) -> str:
    """Write the manifest of a step that has succeeded; return its address."""
    key = manifest_key(pipeline, report.step, run_id)
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


def _put(root: str, key: str, text: str) -> str:
    if is_s3(root):
        import boto3  # paid for by lakes in S3 only

        bucket, _, prefix = bucket_path(root).partition("/")
        path = f"{prefix}/{key}".lstrip("/")
        boto3.client("s3").put_object(Bucket=bucket, Key=path, Body=text.encode())
        return f"s3://{bucket}/{path}"
    target = Path(root) / key
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(target)
    return str(target)
