"""What is pushed to WebSocket clients: topics with bounded queues, and the watch that feeds them.

One task a server looks at what the server already holds and at the lake's version numbers; it
costs the same for one client and for hundreds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import polars as pl
from anyio import CapacityLimiter, to_thread

from riskcast.core.clock import Clock, wall
from riskcast.lake.base import Lake
from riskcast.serving.live import Live
from riskcast.tables.silver import MARKET_DAILY

QUEUE = 64  # messages a client may lag behind
BURST = 32  # newest forecasts pushed when many are published at once
WATCH_EVERY = 1.0
ASK_EVERY = 10.0  # where each look is a call to AWS, whose calls are counted
_BAR = ("symbol", "date", "open", "high", "low", "close", "volume", "known_at")

log = logging.getLogger(__name__)


class Subscriber:
    """One client's queue; `closing` is set to the code it is to be closed with."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self.closing: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def close(self, code: int, reason: str) -> None:
        if not self.closing.done():
            self.closing.set_result((code, reason))


class Topic:
    """Messages of one subject to whoever listens."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest: Mapping[str, Any] | None = None
        self.subscribers: set[Subscriber] = set()

    def push(self, kind: str, **content: Any) -> None:
        """Queue a message for everyone; who lags a whole queue behind is closed with 1013."""
        message = encoded(kind, **content)
        for each in self.subscribers:
            try:
                each.queue.put_nowait(message)
            except asyncio.QueueFull:
                each.close(1013, "too-slow")

    def close_all(self, code: int, reason: str) -> None:
        for each in self.subscribers:
            each.close(code, reason)


def encoded(kind: str, **content: Any) -> str:
    """Return a message: its type, when it was sent, and its content."""
    said = {"type": kind, "at": wall(), **content}
    return orjson.dumps(said, option=orjson.OPT_UTC_Z).decode()


class Streams:
    """The topics of one server.

    Parameters
    ----------
    lake : Lake
        Read in a thread, and only when the table of bars has a new version.
    active : callable
        Returns the slot that traffic is sent to; called in a thread, for it may ask AWS.
    """

    def __init__(
        self,
        live: Live,
        lake: Lake,
        active: Callable[[], str],
        *,
        every: float = WATCH_EVERY,
    ) -> None:
        self.topics = {name: Topic(name) for name in ("predictions", "market", "news")}
        self._live, self._lake, self._active, self._every = live, lake, active, every
        self._limiter = CapacityLimiter(1)
        self._bars: int | None = None
        self._slot, self._version = "", ""
        self._published: dict[Any, Any] | None = None  # session to known_at
        self._fault = ""

    async def watch(self) -> None:
        """Feed the topics until cancelled."""
        while True:
            # As a result, not raised: a store that fails in a new way must not end the watch.
            (failure,) = await asyncio.gather(self.look(), return_exceptions=True)
            if repr(failure) != self._fault and failure is not None:
                log.warning("streams: %s", failure, exc_info=failure)
            self._fault = repr(failure)
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Push what is new since the last look; the first look pushes nothing."""
        self._forecasts()
        self._model()
        await self._bar()
        await self._flip()

    def _forecasts(self) -> None:
        history = self._live.published
        if history is None or not history.loaded:
            return
        rows = history.between(None, None, BURST)
        seen = self._published
        self._published = {row["date"]: row["known_at"] for row in rows}
        topic = self.topics["predictions"]
        topic.latest = rows[-1] if rows else None
        if seen is None:
            return
        for row in rows:
            if seen.get(row["date"]) != row["known_at"]:
                topic.push("forecast", forecast=row)

    def _model(self) -> None:
        loaded = self._live.model
        version = loaded.version if loaded else ""
        before, self._version = self._version, version
        if before and version != before:
            self.topics["predictions"].push("model", version=version, previous=before)

    async def _flip(self) -> None:
        """Tell that traffic moved; the client comes back and finds the colour that answers now."""
        slot = await to_thread.run_sync(self._active, limiter=self._limiter)
        before, self._slot = self._slot, slot
        if not before or slot == before:
            return
        self.topics["predictions"].push("flip", slot=slot, previous=before)
        if before == self._live.slot:
            for topic in self.topics.values():
                topic.close_all(1012, "flip")

    async def _bar(self) -> None:
        before = self._bars
        bar = await to_thread.run_sync(self._newest_bar, limiter=self._limiter)
        topic = self.topics["market"]
        if bar is None or bar == topic.latest:
            return
        topic.latest = bar
        if before is not None:
            topic.push("bar", bar=bar)

    def _newest_bar(self) -> dict[str, Any] | None:
        """Return the newest bar if the table has a new version; in a thread."""
        version = self._lake.version(MARKET_DAILY)
        if version is None or version == self._bars:
            return None
        frame = self._lake.read(MARKET_DAILY, as_of=Clock().now())
        self._bars = version
        own = frame.filter(pl.col("symbol") == self._live.symbol).sort("date").select(_BAR)
        return own.row(-1, named=True) if own.height else None
