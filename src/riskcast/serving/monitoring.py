"""Drift as the monitor found it, and alerts about it that are on disk before they are answered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
import polars as pl
from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from riskcast.core.clock import Clock, wall
from riskcast.core.errors import SpoolFailed
from riskcast.lake.base import Lake
from riskcast.serving.auth import MONITOR, Client, needs
from riskcast.serving.errors import Refusal
from riskcast.serving.http import json_response, read_body
from riskcast.serving.routes import faults
from riskcast.serving.schemas import Finite, parse
from riskcast.tables import Table

router = APIRouter(prefix="/monitoring/drift")
DRIFTED = "alarm"
MOST_WAITING = 1000
_SHOWN = ("check", "subject", "at", "value", "threshold", "verdict")


class Check(BaseModel):
    """The newest verdict on one subject."""

    check: str
    subject: str = Field(description="Feature, target or forecast that was looked at.")
    at: datetime
    value: float | None
    threshold: float | None
    verdict: str


class DriftResponse(BaseModel):
    """Drift as last checked; `drift_detected` is null while nothing has been checked."""

    drift_detected: bool | None
    drift_score: float = Field(description="Share of subjects that drifted, 0 to 1.", ge=0, le=1)
    drifted_features: list[str]
    checked_at: datetime | None
    checks: list[Check]


class AlertRequest(BaseModel):
    """When to alert, and a word to whoever reads the alert."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Annotated[Finite, Field(ge=0, le=1)] = Field(
        0.3, description="Alert if at least this share of subjects drifted."
    )
    note: str = Field("", max_length=1000)


class AlertResponse(BaseModel):
    """Whether an alert was raised, and on which grounds."""

    alerted: bool
    alert_id: str | None = Field(description="Name of the recorded alert; null if none was due.")
    threshold: float
    drift_detected: bool | None
    drift_score: float
    drifted_features: list[str]


class Drift:
    """The newest drift checks of one product, read from the table the monitor writes.

    Parameters
    ----------
    table : Table or None
        Columns product, check, subject, value, threshold, verdict and its time; None while no
        monitor is installed, which is answered as never checked.
    """

    def __init__(self, lake: Lake, table: Table | None, product: str) -> None:
        self._lake, self._table, self._product = lake, table, product
        self._version: int | None = None
        self._checks: Sequence[dict[str, Any]] = ()

    def newest(self) -> dict[str, Any]:
        """Return the content of a DriftResponse; reads the lake only if the table moved."""
        if self._table is not None:
            version = self._lake.version(self._table)
            if version is not None and version != self._version:
                self._checks, self._version = self._read(self._table), version
        checks = self._checks
        drifted = sorted({each["subject"] for each in checks if each["verdict"] == DRIFTED})
        subjects = {each["subject"] for each in checks}
        return {
            "drift_detected": bool(drifted) if checks else None,
            "drift_score": len(drifted) / len(subjects) if subjects else 0.0,
            "drifted_features": drifted,
            "checked_at": max((each["at"] for each in checks), default=None),
            "checks": checks,
        }

    def _read(self, table: Table) -> list[dict[str, Any]]:
        frame = self._lake.read(table, as_of=Clock().now())
        own = (pl.col("product") == self._product) & pl.col("check").str.contains("drift")
        at = pl.col(table.time).cast(pl.Datetime("us", "UTC")).alias("at")
        newest = frame.filter(own).with_columns(at).sort("at", "check", "subject")
        newest = newest.unique(["check", "subject"], keep="last", maintain_order=True)
        # What an earlier run looked at and the newest did not is no finding of today.
        newest = newest.filter(pl.col("at") == pl.col("at").max().over("check"))
        return list(newest.select(_SHOWN).iter_rows(named=True))


class Alerts:
    """Alerts on their way to whoever sends them: one file each, synced before it is answered.

    Parameters
    ----------
    folder : Path
        Made with the first alert. Whoever sends an alert removes its file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, alert_id: str, alert: dict[str, Any]) -> None:
        """Write the alert; the same id is written once.

        Raises
        ------
        Refusal
            503 alerts-full when nobody has sent the last ones.
        SpoolFailed
            If the disk does not take it; then there is no alert.
        """
        path = self._folder / f"{alert_id}.json"
        draft = path.with_suffix(f".{uuid4().hex}.draft")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                return
            if sum(1 for _ in self._folder.glob("*.json")) >= MOST_WAITING:
                message = f"{MOST_WAITING} alerts wait to be sent"
                raise Refusal(503, "alerts-full", message, "Run `riskcast run monitor notify`.")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(orjson.dumps(alert, option=orjson.OPT_UTC_Z))
                f.flush()
                os.fsync(f.fileno())
            draft.replace(path)
        except OSError as error:
            raise SpoolFailed(f"{self._folder} cannot be written: {error}") from error


_CHECKED = {"operationId": "drift_check", "description": "What the alert rests on."}


@router.get(
    "/check",
    response_model=DriftResponse,
    responses=faults(401, 403, 503),
    summary="Drift as the monitor last found it",
)
async def drift_check(
    request: Request, _client: Annotated[Client, Depends(needs(MONITOR))]
) -> Response:
    """Answer with the newest verdict of each drift check, subject by subject."""
    drift: Drift = request.app.state.drift
    limiter = request.app.state.replays
    return json_response(await to_thread.run_sync(drift.newest, limiter=limiter))


@router.post(
    "/alert",
    response_model=AlertResponse,
    responses={200: {"links": {"checks": _CHECKED}}, **faults()},
    openapi_extra={
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": AlertRequest.model_json_schema(),
                    "examples": {
                        "default": {"summary": "If 30% drifted", "value": {}},
                        "strict": {
                            "summary": "If any drifted",
                            "value": {"threshold": 0.01, "note": "before the committee"},
                        },
                    },
                }
            },
        }
    },
    summary="Raise an alert if drift exceeds a threshold",
)
async def drift_alert(
    request: Request, client: Annotated[Client, Depends(needs(MONITOR))]
) -> Response:
    """Compare the newest drift score with the threshold; an alert that is due is recorded.

    The alert is on disk when it is answered; the `monitor` pipeline sends it by mail. Asked again
    under the same X-Request-Id, it is recorded once.
    """
    asked = parse(AlertRequest, await read_body(request) or b"{}")
    drift: Drift = request.app.state.drift
    found = await to_thread.run_sync(drift.newest, limiter=request.app.state.replays)
    due = found["drift_detected"] is not None and found["drift_score"] >= asked.threshold
    alert_id = f"drift-{request.state.request_id}" if due else None
    if alert_id is not None:
        alert = {
            "kind": "drift",
            "at": wall(),
            "client": client.name,
            "product": request.app.state.live.product.name,
            "note": asked.note,
            "threshold": asked.threshold,
            **found,
        }
        alerts: Alerts = request.app.state.alerts
        await to_thread.run_sync(alerts.record, alert_id, alert)
    shown = {k: found[k] for k in ("drift_detected", "drift_score", "drifted_features")}
    return json_response(
        {"alerted": due, "alert_id": alert_id, "threshold": asked.threshold, **shown}
    )
