"""HTTP manners: bounded bodies, one shape of error, request ids, headers, figures."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskcast.core.clock import seconds
from riskcast.core.errors import RiskcastError
from riskcast.serving.errors import Refusal, described
from riskcast.serving.live import Live
from riskcast.serving.metrics import Metrics
from riskcast.serving.schemas import MAX_BODY

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_FIX_BY_STATUS = {
    404: "GET / lists what there is.",
    405: "The Allow header names the methods of this path.",
}
log = logging.getLogger(__name__)


def json_response(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response of the content as JSON; dates as ISO, instants with a Z."""
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, media_type="application/json")


def error_response(
    status: int, code: str, message: str, fix: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the one shape every error has."""
    fault = {"code": code, "message": message, "fix": fix}
    return json_response({"error": fault}, status, headers)


async def read_body(
    request: Request,
    limit: int = MAX_BODY,
    fix: str = "Send only the features that differ from the stored ones.",
) -> bytes:
    """Return the body; `fix` tells who sends too much what to do.

    Raises
    ------
    Refusal
        413 body-too-large, before more than the limit is held.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refusal(413, "body-too-large", f"the body has more than {limit} bytes", fix)
        parts.append(part)
    return b"".join(parts)


class Manners:
    """Middleware: gives each request an id, answers carry who answered, both are counted."""

    def __init__(self, app: ASGIApp, live: Live, metrics: Metrics) -> None:
        self._app, self._live, self._metrics = app, live, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = seconds()
        scope.setdefault("state", {}).update(request_id=_request_id(scope), started=started)
        status = 500

        async def send_signed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(signature(scope, self._live))
            await send(message)

        try:
            await self._app(scope, receive, send_signed)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, scope["method"], status).inc()
            self._metrics.seconds.labels(route).observe(seconds() - started)


def signature(scope: Scope, live: Live) -> dict[str, str]:
    """Return the headers that say who answered; a forecast names the model that made it."""
    state = scope["state"]
    loaded = state.get("model") or live.model
    served = f"{live.product.name}/{loaded.version}" if loaded else "none"
    return {
        "X-Riskcast-Slot": live.slot,
        "X-Riskcast-Model": served,
        "X-Request-Id": state["request_id"],
    }


def add_error_handlers(app: FastAPI) -> None:
    """Give every error one JSON shape, without a trace of the code."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RiskcastError)  # noqa: S101  registered for these only
        status, code, message, fix = described(error)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        if status >= 500:
            log.warning("%s: %s", code, message)
        return error_response(status, code, message, fix, headers)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for it only
        told = "; ".join(f"{fault['loc'][-1]}: {fault['msg'][:200]}" for fault in error.errors())
        return error_response(422, "invalid-request", told[:1000], "See /docs for the parameters.")

    async def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for these only
        status = error.status_code
        code = str(error.detail).lower().replace(" ", "-")
        fix = _FIX_BY_STATUS.get(status, "See /docs.")
        return error_response(status, code, str(error.detail), fix, error.headers)

    async def crashed(request: Request, _error: Exception) -> Response:
        # The traceback is in the log, under the same id; the server raises it again.
        request_id = request.state.request_id
        message = f"the server failed on request {request_id}"
        headers = signature(request.scope, request.app.state.live)
        return error_response(500, "internal", message, "Report the request id.", headers)

    app.add_exception_handler(RiskcastError, refused)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, crashed)


def _request_id(scope: Scope) -> str:
    """Return the caller's id where it is a safe one: a retried request keeps its id."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex
