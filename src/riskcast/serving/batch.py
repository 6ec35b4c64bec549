"""POST /predict/batch: many sessions and what-ifs at once, each with its own answer or error."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from riskcast.core.errors import RiskcastError
from riskcast.registry import LoadedModel
from riskcast.serving.auth import PREDICT, Client, needs
from riskcast.serving.errors import described
from riskcast.serving.http import json_response, read_body
from riskcast.serving.routes import faults, predicted, recorded, replayed
from riskcast.serving.schemas import Fault, PredictRequest, PredictResponse, parse

router = APIRouter()
MOST_ITEMS = 100
MAX_BATCH_BODY = 1024 * 1024
_TOO_LARGE = "Send fewer items in one request, each with only the features that differ."


class BatchRequest(BaseModel):
    """Questions to one model; none sees another's values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[list[PredictRequest], Field(min_length=1, max_length=MOST_ITEMS)]


class BatchAnswer(BaseModel):
    """The forecast of one item, or why there is none: exactly one of the two."""

    index: int = Field(description="Place of the item in the request, from 0.")
    forecast: PredictResponse | None
    error: Fault | None


class BatchResponse(BaseModel):
    """One answer an item, in the order of the request, all by the same model version."""

    answers: list[BatchAnswer]
    failed: int = Field(description="How many items have an error.")


_EXAMPLES = {
    "sessions": {
        "summary": "Two sessions, as known then",
        "value": {"items": [{"as_of_date": "2018-12-20"}, {"as_of_date": "2018-12-21"}]},
    },
    "scenarios": {
        "summary": "The latest session, as it is and with VIX at 40",
        "value": {"items": [{}, {"feature_vector": {"lvix": -7.362}}]},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["items"],
                    "properties": {
                        "items": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_ITEMS,
                            "items": PredictRequest.model_json_schema(),
                        }
                    },
                },
                "examples": _EXAMPLES,
            }
        },
    }
}


@router.post(
    "/predict/batch",
    response_model=BatchResponse,
    responses={
        200: {"links": {"replay": replayed("$response.body#/answers/0/forecast/as_of_date")}},
        **faults(),
    },
    openapi_extra=_BODY,
    summary=f"Up to {MOST_ITEMS} forecasts in one request",
)
async def predict_batch(
    request: Request, client: Annotated[Client, Depends(needs(PREDICT))]
) -> Response:
    """Answer each item as /predict would; a malformed request is refused as a whole."""
    asked = parse(BatchRequest, await read_body(request, MAX_BATCH_BODY, _TOO_LARGE))
    loaded = request.state.model = request.app.state.live.current_model()
    answers = []
    for i, item in enumerate(asked.items):
        answers.append({"index": i} | await _answered(request, client, item, loaded, i))
        await asyncio.sleep(0)  # a long batch must not hold up single forecasts
    failed = sum(each["error"] is not None for each in answers)
    return json_response({"answers": answers, "failed": failed})


async def _answered(
    request: Request, client: Client, item: PredictRequest, loaded: LoadedModel, i: int
) -> dict[str, Any]:
    try:
        said = await predicted(request, item, loaded, f"{request.state.request_id}-{i}")
        request.app.state.spool.append(recorded(said, client.name, request.state.started))
    except RiskcastError as error:
        _status, code, message, fix = described(error)
        return {"forecast": None, "error": {"code": code, "message": message, "fix": fix}}
    return {"forecast": said, "error": None}
