"""WebSockets /ws/predictions, /ws/market and /ws/news.

A client proves itself by the header X-API-Key or Authorization of the handshake or, where it
cannot set headers (a browser), by a first message ``{"type": "auth", "key": "..."}``; never in
the address, which logs keep. It then gets ``hello`` with the latest content, what is new, and a
``heartbeat`` every 20 seconds. Closing codes: 4401 no or bad key, 4403 the key lacks the scope,
4408 no key in time, 1008 the client sent something else, 1012 traffic moved to the other colour:
come back, 1013 too slow or too many connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from riskcast.serving.auth import PREDICT, Client, Keys, offered_key
from riskcast.serving.errors import Refusal
from riskcast.serving.http import error_response
from riskcast.serving.live import Live
from riskcast.serving.streams import Subscriber, Topic, encoded

router = APIRouter(prefix="/ws")
CONNECTIONS, PER_CLIENT = 256, 32
AUTH_SECONDS = 5.0
HEARTBEAT_SECONDS = 20.0
CLOSE_SECONDS = 5.0
_CODES = {401: 4401, 403: 4403}


class Auth(BaseModel):
    """The first message of a client that could not send a header."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["auth"]
    key: Annotated[str, Field(max_length=512)]


class Doorman:
    """How many are connected, in all and by client."""

    def __init__(self, connections: int = CONNECTIONS, per_client: int = PER_CLIENT) -> None:
        self._connections, self._per_client = connections, per_client
        self._open = 0
        self._by_client: Counter[str] = Counter()

    def enter(self) -> bool:
        """Count one more unless the house is full."""
        if self._open >= self._connections:
            return False
        self._open += 1
        return True

    def leave(self) -> None:
        self._open -= 1

    def admit(self, client: str) -> bool:
        """Count one more of the client unless it has too many."""
        if self._by_client[client] >= self._per_client:
            return False
        self._by_client[client] += 1
        return True

    def dismiss(self, client: str) -> None:
        self._by_client[client] -= 1


@router.websocket("/predictions")
async def predictions(socket: WebSocket) -> None:
    """Push each newly published forecast, and each change of model or colour."""
    await _serve(socket, "predictions")


@router.websocket("/market")
async def market(socket: WebSocket) -> None:
    """Push the asset's newest bar as it lands in the lake."""
    await _serve(socket, "market")


@router.websocket("/news")
async def news(socket: WebSocket) -> None:
    """Push articles; only heartbeats while no source of news is installed."""
    await _serve(socket, "news")


async def _serve(socket: WebSocket, name: str) -> None:
    doorman: Doorman = socket.app.state.doorman
    if not doorman.enter():
        await _deny(socket, Refusal(503, "too-many-connections", "the server has no place left"))
        return
    try:
        client = await _authenticated(socket)
        if client is None:
            return
        if not doorman.admit(client.name):
            await socket.close(1013, "too-many-connections")
            return
        try:
            await _stream(socket, client, socket.app.state.streams.topics[name])
        finally:
            doorman.dismiss(client.name)
    finally:
        doorman.leave()


async def _authenticated(socket: WebSocket) -> Client | None:
    """Accept the connection of a client with a key; None when it was turned away."""
    keys: Keys = socket.app.state.keys
    key = offered_key(socket.headers)
    try:
        if key is not None:
            client = keys.authorise(key, PREDICT)
            await socket.accept()
            return client
        await socket.accept()
        async with asyncio.timeout(AUTH_SECONDS):
            said = await socket.receive_text()
        return keys.authorise(Auth.model_validate_json(said).key, PREDICT)
    except Refusal as error:
        await _deny(socket, error)
    except (ValidationError, KeyError):  # KeyError: bytes where text was due
        await socket.close(4401, "key-missing")
    except TimeoutError:
        await socket.close(4408, "key-late")
    except WebSocketDisconnect:
        pass  # gone before it said who it is
    return None


async def _deny(socket: WebSocket, error: Refusal) -> None:
    """Refuse: by an HTTP status before the handshake is answered, by a closing code after it."""
    if socket.client_state.name == "CONNECTING":
        answer = error_response(error.status, error.code, str(error), error.fix)
        await socket.send_denial_response(answer)
    else:
        await socket.close(_CODES.get(error.status, 1013), error.code)


async def _stream(socket: WebSocket, client: Client, topic: Topic) -> None:
    live: Live = socket.app.state.live
    subscriber = Subscriber(client.name)
    topic.subscribers.add(subscriber)
    latest, loaded = topic.latest, live.model
    version = loaded.version if loaded else None
    hello = encoded("hello", topic=topic.name, slot=live.slot, model_version=version, latest=latest)
    subscriber.queue.put_nowait(hello)
    sending = asyncio.create_task(_send(socket, subscriber))
    listening = asyncio.create_task(_listen(socket))
    tasks: set[asyncio.Future[Any]] = {sending, listening, subscriber.closing}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if subscriber.closing in done:
            await _drain(subscriber, sending)
            await _close(socket, *subscriber.closing.result())
        elif listening in done and not listening.exception() and listening.result():
            await _close(socket, 1008, "unexpected-message")
    finally:
        topic.subscribers.discard(subscriber)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket, subscriber: Subscriber) -> None:
    while True:
        try:
            message = await asyncio.wait_for(subscriber.queue.get(), HEARTBEAT_SECONDS)
        except TimeoutError:
            await socket.send_text(encoded("heartbeat"))
        else:
            await socket.send_text(message)
            subscriber.queue.task_done()


async def _listen(socket: WebSocket) -> bool:
    """Wait for the end of the connection; return True if the client says something instead."""
    message = await socket.receive()
    return bool(message["type"] == "websocket.receive")


async def _drain(subscriber: Subscriber, sending: asyncio.Task[None]) -> None:
    """Let what is queued leave, unless the client is the one that does not take it."""
    if not subscriber.queue.full():
        left = asyncio.create_task(subscriber.queue.join())
        await asyncio.wait(
            {left, sending}, timeout=CLOSE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        left.cancel()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # A client that takes nothing does not take this either; then the transport is dropped.
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason)
