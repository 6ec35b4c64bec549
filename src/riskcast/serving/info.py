"""The API about itself: what it is, whether it answers, and with which model."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from riskcast import __version__
from riskcast.registry.signature import installation
from riskcast.serving.auth import ADMIN, OBSERVE, Client, needs
from riskcast.serving.errors import Refusal
from riskcast.serving.http import json_response
from riskcast.serving.live import Live
from riskcast.serving.routes import faults

router = APIRouter()
LINKS = {
    "predict": "/predict",
    "batch": "/predict/batch",
    "history": "/predictions/history",
    "drift": "/monitoring/drift/check",
    "news": "/news/recent",
    "predictions_stream": "/ws/predictions",
    "market_stream": "/ws/market",
    "news_stream": "/ws/news",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/health",
    "ready": "/ready",
}


class About(BaseModel):
    """What this is, and its public paths."""

    name: str
    version: str
    product: str
    promise: str
    slot: str
    links: dict[str, str]


class Health(BaseModel):
    """The process answers."""

    status: str


class ServingModel(BaseModel):
    """The version that answers."""

    version: str
    digest: str


class ServingFeatures(BaseModel):
    """The session that is answered from."""

    session: date
    known_at: datetime


class Ready(BaseModel):
    """Whether a request for the latest session would be answered."""

    ready: bool
    reasons: list[str] = Field(description="Why not; empty when ready.")
    troubles: list[str] = Field(description="What failed last in the background.")
    slot: str
    installation: str = Field(description="Digest of the key its models are signed with.")
    model: ServingModel | None
    features: ServingFeatures | None


class ModelInfo(BaseModel):
    """The model that serves, in detail."""

    product: str
    version: str
    digest: str
    recipe: str
    fit_end: date
    features: list[str]
    tags: dict[str, str] = Field(description="Tags of the registry: verdict, scores, lineage.")
    troubles: list[str]


@router.get("/", response_model=About, summary="What this is")
async def about(request: Request) -> Response:
    """Name the product and the public paths."""
    live: Live = request.app.state.live
    return json_response(
        {
            "name": "riskcast",
            "version": __version__,
            "product": live.product.name,
            "promise": live.product.doc,
            "slot": live.slot,
            "links": LINKS,
        }
    )


@router.get("/health", response_model=Health, summary="Is the process alive?")
async def health() -> Response:
    """Answer 200 as long as the process answers at all."""
    return json_response({"status": "alive"})


@router.get(
    "/ready",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "A request would fail; the reasons why."}},
    summary="Would a request for the latest session be answered?",
)
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
        "installation": installation(live.key),
        "model": {"version": loaded.version, "digest": loaded.digest} if loaded else None,
        "features": {"session": row.session, "known_at": row.known_at} if row else None,
    }
    return json_response(content, 503 if reasons else 200)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **faults(401, 403, 503),
    },
    summary="Figures for Prometheus",
)
async def metrics(
    request: Request, _client: Annotated[Client, Depends(needs(OBSERVE))]
) -> Response:
    """Answer in the Prometheus text format; not routed by nginx."""
    state = request.app.state
    # In a thread: verdicts are read from the lake when the table has moved.
    text = await to_thread.run_sync(state.metrics.exposition, limiter=state.replays)
    return Response(text, media_type="text/plain; version=0.0.4")


@router.get(
    "/debug/model-info",
    response_model=ModelInfo,
    responses=faults(401, 403, 503),
    summary="The model that serves, in detail",
)
async def model_info(
    request: Request, _client: Annotated[Client, Depends(needs(ADMIN))]
) -> Response:
    """Answer with version, recipe, features in use and registry tags; not routed by nginx."""
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
            "features": model.needed,
            "tags": dict(loaded.tags),
            "troubles": live.troubles(),
        }
    )
