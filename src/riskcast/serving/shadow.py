"""Copies of requests that another slot answers: scored here too, for nobody but the rollout.

A copy is taken in at once, because nginx holds the client's next request until it has the sink's
answer, and scored when the server has nothing better to do. What cannot be held is dropped and
counted. Nothing of it reaches the spool: a copy is no forecast anyone was given.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import RiskcastError
from riskcast.serving.auth import ADMIN, PREDICT, Client, needs
from riskcast.serving.errors import described
from riskcast.serving.forecast import answer, check_given
from riskcast.serving.http import json_response, read_body
from riskcast.serving.live import Live
from riskcast.serving.routes import row_for
from riskcast.serving.schemas import ErrorResponse, RegimeProbs, parse_request

WAITING = 256  # copies held at once
KEPT = 2000  # outcomes remembered
REST = 4.0  # pause after a copy in multiples of the time it took: at most a fifth of a core

log = logging.getLogger(__name__)
router = APIRouter(prefix="/admin")
_FAULTS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No API key, or an unknown one."},
    403: {"model": ErrorResponse, "description": "The key lacks the scope."},
    503: {"model": ErrorResponse, "description": "The keys file cannot be read."},
}


class Taken(BaseModel):
    """Whether the copy is held, or was dropped because too many wait."""

    held: bool


class Outcome(BaseModel):
    """What the slot would have answered to one copy."""

    request_id: str
    at: datetime = Field(description="When it was scored.")
    status: int = Field(description="HTTP status the answer would have had.")
    code: str = Field(description="Code of the error, empty if there was none.")
    seconds: float = Field(description="Time it took to score, without waiting.")
    version: str = Field(description="Model version, empty if none was loaded.")
    rv_5d_hat: float | None
    regime_probs: RegimeProbs | None


class Outcomes(BaseModel):
    """Counts since the server started, and the newest outcomes, oldest first."""

    slot: str
    received: int
    dropped: int
    waiting: int
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True)
class Copy:
    """A request someone else answers; kept for its app, read already."""

    request: Request
    request_id: str
    body: bytes


class Sink:
    """Bounded queue of copies and what came of them; one task, `work`, empties it."""

    def __init__(self, live: Live, *, waiting: int = WAITING) -> None:
        self._live = live
        self._waiting: asyncio.Queue[Copy] = asyncio.Queue(waiting)
        self._outcomes: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.received = self.dropped = 0

    def take(self, copy: Copy) -> bool:
        """Hold the copy unless too many wait; return whether it is held."""
        self.received += 1
        try:
            self._waiting.put_nowait(copy)
        except asyncio.QueueFull:
            self.dropped += 1
            return False
        return True

    async def work(self) -> None:
        """Score copy after copy, resting in between, until cancelled."""
        while True:
            copy = await self._waiting.get()
            started = seconds()
            # Gathered, so that whatever it raises becomes an outcome and the work goes on.
            found: dict[str, Any] | BaseException
            (found,) = await asyncio.gather(self._score(copy), return_exceptions=True)
            took = seconds() - started
            self._outcomes.append(self._outcome(copy, found, took))
            await asyncio.sleep(REST * took)

    def told(self, last: int) -> dict[str, Any]:
        """Return the counts and the newest `last` outcomes."""
        return {
            "slot": self._live.slot,
            "received": self.received,
            "dropped": self.dropped,
            "waiting": self._waiting.qsize(),
            "outcomes": list(self._outcomes)[max(0, len(self._outcomes) - last) :],
        }

    async def _score(self, copy: Copy) -> dict[str, Any]:
        asked = parse_request(copy.body)
        table = self._live.product.features
        check_given(asked.feature_vector, table)
        loaded = self._live.current_model()
        row, _ = await row_for(copy.request, self._live, asked.as_of_date)
        return answer(loaded, row, asked.feature_vector, table) | {"version": loaded.version}

    def _outcome(
        self, copy: Copy, found: dict[str, Any] | BaseException, took: float
    ) -> dict[str, Any]:
        status, code, said = 200, "", found if isinstance(found, dict) else {}
        if isinstance(found, RiskcastError):
            status, code, _, _ = described(found)
        elif isinstance(found, BaseException):
            status, code = 500, "internal"
            log.error("copy %s could not be scored", copy.request_id, exc_info=found)
        model = self._live.model
        return {
            "request_id": copy.request_id,
            "at": wall(),
            "status": status,
            "code": code,
            "seconds": took,
            "version": said.get("version") or (model.version if model else ""),
            "rv_5d_hat": said.get("rv_5d_hat"),
            "regime_probs": said.get("regime_probs"),
        }


_OUTCOMES = {"operationId": "mirrored", "description": "What came of it."}


@router.post(
    "/mirror",
    status_code=202,
    response_model=Taken,
    responses={
        202: {"links": {"outcomes": _OUTCOMES}},
        **_FAULTS,
        413: {"model": ErrorResponse, "description": "The body is too large."},
    },
    summary="Score a copy of a request in the background",
)
async def mirror(request: Request, _client: Annotated[Client, Depends(needs(PREDICT))]) -> Response:
    """Take a copy of a request to /predict; it carries its client's key, as the original did."""
    copy = Copy(request, request.state.request_id, await read_body(request))
    sink: Sink = request.app.state.shadow
    return json_response({"held": sink.take(copy)}, 202)


@router.get(
    "/mirror", response_model=Outcomes, responses=_FAULTS, summary="What came of the copies"
)
async def mirrored(
    request: Request,
    _client: Annotated[Client, Depends(needs(ADMIN))],
    last: Annotated[int, Query(ge=0, le=KEPT, description="The newest so many.")] = 100,
) -> Response:
    """Answer with the counts and the newest outcomes, oldest first."""
    sink: Sink = request.app.state.shadow
    return json_response(sink.told(last))
