"""The API: a forecast, and what one must know about the server that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from riskcast import __version__
from riskcast.core.clock import seconds, wall
from riskcast.online.base import FeatureRow
from riskcast.serving.auth import OBSERVE, PREDICT, Client, needs
from riskcast.serving.errors import Refusal
from riskcast.serving.forecast import answer, check_given, needed
from riskcast.serving.http import json_response, read_body
from riskcast.serving.live import Live
from riskcast.serving.schemas import (
    REQUEST_EXAMPLES,
    ErrorResponse,
    HistoryResponse,
    IsoDate,
    PredictRequest,
    PredictResponse,
    parse_request,
)

router = APIRouter()
MOST_SHOWN = 1000

_FAULTS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No API key, or an unknown one."},
    403: {"model": ErrorResponse, "description": "The key lacks the scope."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    422: {"model": ErrorResponse, "description": "No session, unknown feature, malformed body."},
    503: {"model": ErrorResponse, "description": "No model, or a feature missing or stale."},
}
_BODY = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": PredictRequest.model_json_schema(),
                "examples": REQUEST_EXAMPLES,
            }
        },
    }
}


@router.post(
    "/predict",
    response_model=PredictResponse,
    responses=_FAULTS,
    openapi_extra=_BODY,
    summary="Forecast realised volatility of the next five sessions",
)
async def predict(request: Request, client: Annotated[Client, Depends(needs(PREDICT))]) -> Response:
    """Answer from the latest session, an earlier one as known then, or with values replaced."""
    asked = parse_request(await read_body(request))
    live: Live = request.app.state.live
    table = live.product.features
    check_given(asked.feature_vector, table)
    loaded = request.state.model = live.current_model()
    row, mode = await row_for(request, live, asked.as_of_date)
    clock, model = live.clock(), loaded.model
    said = answer(loaded, row, asked.feature_vector, table) | {
        "mode": "what_if" if asked.feature_vector else mode,
        "clock": {"mode": clock.mode, "now": clock.now()},
        "model": {
            "product": model.product,
            "version": loaded.version,
            "fit_end": model.fit_end,
            "digest": loaded.digest,
        },
        "slot": live.slot,
        "request_id": request.state.request_id,
    }
    response = json_response(said)
    # Last: what is recorded was answered, and what could not be recorded is not.
    request.app.state.spool.append(recorded(said, client.name, request.state.started))
    return response


@router.get(
    "/predictions/history",
    response_model=HistoryResponse,
    responses={status: said for status, said in _FAULTS.items() if status != 413},
    summary="Forecasts that were published",
)
async def predictions_history(
    request: Request,
    _client: Annotated[Client, Depends(needs(PREDICT))],
    limit: Annotated[int, Query(ge=1, le=MOST_SHOWN, description="The newest so many.")] = 30,
    start: Annotated[IsoDate | None, Query(description="First session, ISO date.")] = None,
    end: Annotated[IsoDate | None, Query(description="Last session, ISO date.")] = None,
) -> Response:
    """Answer with the champions' forecasts as they were published, oldest first."""
    if start is not None and end is not None and start > end:
        message = f"start {start} lies after end {end}"
        raise Refusal(422, "invalid-request", message, "Give start no later than end.")
    live: Live = request.app.state.live
    found = live.published.between(start, end, limit) if live.published else []
    return json_response({"predictions": found})


def recorded(said: Mapping[str, Any], client: str, started: float) -> dict[str, Any]:
    """Return the row of `predictions_log` for an answer."""
    probs = said["regime_probs"]
    return {
        "request_id": said["request_id"],
        "client": client,
        "at": wall(),
        "symbol": said["symbol"],
        "as_of_date": said["as_of_date"],
        "mode": said["mode"],
        "rv_5d_hat": said["rv_5d_hat"],
        "p_calm": probs["calm"],
        "p_transition": probs["transition"],
        "p_risk_off": probs["risk_off"],
        "model_version": said["model"]["version"],
        "slot": said["slot"],
        "latency_ms": (seconds() - started) * 1e3,
    }


async def row_for(request: Request, live: Live, asked: date | None) -> tuple[FeatureRow, str]:
    """Return the features of the session asked for, and whether they are stored or replayed."""
    latest = live.row
    if asked is None or (latest is not None and asked == latest.session):
        return live.latest_row(), "online"
    latest = latest or live.latest_row()
    live.history.check_session(asked, latest.session)
    limiter: CapacityLimiter = request.app.state.replays
    return await to_thread.run_sync(live.history.on, asked, limiter=limiter), "replay"


@router.get("/health", summary="Is the process alive?")
async def health() -> Response:
    """Answer 200 as long as the process answers at all."""
    return json_response({"status": "alive"})


@router.get("/ready", summary="Would a request for the latest session be answered?")
async def ready(request: Request) -> Response:
    """Answer 200 with a model, its features and the keys file; otherwise 503 with the reasons."""
    live: Live = request.app.state.live
    reasons = live.obstacles()
    try:
        request.app.state.keys.clients()
    except Refusal as error:
        reasons.append(f"{error.code}: {error}")
    if fault := request.app.state.spool.fault:
        reasons.append(f"spool-failed: {fault}")
    loaded, row = live.model, live.row
    content = {
        "ready": not reasons,
        "reasons": reasons,
        "troubles": live.troubles(),
        "slot": live.slot,
        "model": {"version": loaded.version, "digest": loaded.digest} if loaded else None,
        "features": {"session": row.session, "known_at": row.known_at} if row else None,
    }
    return json_response(content, 503 if reasons else 200)


@router.get("/", summary="What this is")
async def about(request: Request) -> Response:
    """Name the product and the paths."""
    live: Live = request.app.state.live
    return json_response(
        {
            "name": "riskcast",
            "version": __version__,
            "product": live.product.name,
            "promise": live.product.doc,
            "slot": live.slot,
            "links": {
                "predict": "/predict",
                "history": "/predictions/history",
                "docs": "/docs",
                "openapi": "/openapi.json",
                "health": "/health",
                "ready": "/ready",
                "metrics": "/metrics",
                "model": "/debug/model-info",
            },
        }
    )


@router.get("/metrics", summary="Figures for Prometheus")
async def metrics(
    request: Request, _client: Annotated[Client, Depends(needs(OBSERVE))]
) -> Response:
    """Answer in the Prometheus text format."""
    return Response(request.app.state.metrics.exposition(), media_type="text/plain; version=0.0.4")


@router.get("/debug/model-info", summary="The model that serves, in detail")
async def model_info(
    request: Request, _client: Annotated[Client, Depends(needs(OBSERVE))]
) -> Response:
    """Answer with version, recipe, features in use and the tags of the registry."""
    live: Live = request.app.state.live
    loaded = live.current_model()
    model = loaded.model
    return json_response(
        {
            "product": model.product,
            "version": loaded.version,
            "digest": loaded.digest,
            "recipe": model.recipe,
            "fit_end": model.fit_end,
            "features": needed(model),
            "tags": dict(loaded.tags),
            "troubles": live.troubles(),
        }
    )
