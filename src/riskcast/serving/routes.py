"""The API: a forecast, and those that were published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from riskcast.core.clock import seconds, wall
from riskcast.online.base import FeatureRow
from riskcast.registry import LoadedModel
from riskcast.serving.auth import PREDICT, Client, needs
from riskcast.serving.errors import Refusal
from riskcast.serving.forecast import answer, check_given
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

FAULTS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No API key, or an unknown one."},
    403: {"model": ErrorResponse, "description": "The key lacks the scope."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    422: {"model": ErrorResponse, "description": "No session, unknown feature, malformed body."},
    503: {"model": ErrorResponse, "description": "No model, or a feature missing or stale."},
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of these refusals, of all when none is named."""
    return {each: FAULTS[each] for each in statuses or FAULTS}


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


_SESSION = "$response.body#/as_of_date"
_PUBLISHED = {
    "operationId": "predictions_history",
    "parameters": {"start": _SESSION, "end": _SESSION},
    "description": "What was published for the session.",
}


def replayed(session: str) -> dict[str, Any]:
    """Return OpenAPI's link to the forecast of a session, given as an expression."""
    return {
        "operationId": "predict",
        "requestBody": {"as_of_date": session},
        "description": "The forecast as the model would give it now, from what was known then.",
    }


@router.post(
    "/predict",
    response_model=PredictResponse,
    responses={200: {"links": {"published": _PUBLISHED, "replay": replayed(_SESSION)}}, **faults()},
    openapi_extra=_BODY,
    summary="Forecast realised volatility of the next five sessions",
)
async def predict(request: Request, client: Annotated[Client, Depends(needs(PREDICT))]) -> Response:
    """Answer from the latest session, an earlier one as known then, or with values replaced."""
    asked = parse_request(await read_body(request))
    loaded = request.state.model = request.app.state.live.current_model()
    said = await predicted(request, asked, loaded, request.state.request_id)
    response = json_response(said)
    # Last: what is recorded was answered, and what could not be recorded is not.
    request.app.state.spool.append(recorded(said, client.name, request.state.started))
    return response


async def predicted(
    request: Request, asked: PredictRequest, loaded: LoadedModel, request_id: str
) -> dict[str, Any]:
    """Return the whole answer of `loaded` to one question; raise a RiskcastError if none."""
    live: Live = request.app.state.live
    table = live.product.features
    check_given(asked.feature_vector, table)
    row, mode = await row_for(request, live, asked.as_of_date)
    clock, model = live.clock(), loaded.model
    # A replayed row is another object each time: it would only push out what is asked often.
    answered = live.memo.answer if mode == "online" else answer
    return answered(loaded, row, asked.feature_vector, table) | {
        "mode": "what_if" if asked.feature_vector else mode,
        "clock": {"mode": clock.mode, "now": clock.now()},
        "model": {
            "product": model.product,
            "version": loaded.version,
            "fit_end": model.fit_end,
            "digest": loaded.digest,
        },
        "slot": live.slot,
        "request_id": request_id,
    }


@router.get(
    "/predictions/history",
    response_model=HistoryResponse,
    responses={
        200: {"links": {"replay": replayed("$response.body#/predictions/0/date")}},
        **faults(401, 403, 422, 503),
    },
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
