"""GET /news/recent: the newest articles; none until a source of news is installed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from riskcast.serving.auth import PREDICT, Client, needs
from riskcast.serving.http import json_response
from riskcast.serving.routes import faults

router = APIRouter(prefix="/news")


class NewsArticle(BaseModel):
    """One article and how it was read."""

    published_at: datetime
    source: str
    title: str
    url: str
    sentiment: float | None = Field(description="-1 (bad) to 1 (good); null if not scored.")


class NewsResponse(BaseModel):
    """Articles, newest first; empty while no source of news is installed."""

    articles: list[NewsArticle]
    available: bool = Field(description="Whether a source of news is installed.")


@router.get(
    "/recent",
    response_model=NewsResponse,
    responses=faults(401, 403, 422, 503),
    summary="Newest articles",
)
async def news_recent(
    _request: Request,
    _client: Annotated[Client, Depends(needs(PREDICT))],
    _limit: Annotated[int, Query(alias="limit", ge=1, le=500, description="At most so many.")] = 50,
    _hours_back: Annotated[
        int, Query(alias="hours_back", ge=1, le=24 * 31, description="Not older than this.")
    ] = 24,
) -> Response:
    """Answer with an empty list that says that no source of news is installed."""
    return json_response({"articles": [], "available": False})
