"""Load generator: a process of its own, keep-alive connections on raw sockets, no retries.

    python benchmarks/_load.py --port P --clients 8 --seconds 5 [--key K] [--body B] [--rate R]

Closed loop: each connection sends its next request when it has the answer. With --rate the
connection sends that many requests a second on a fixed schedule, and latency counts from the
scheduled instant, so that a stall is not hidden by the requests never sent in it. A request fails
on any status but 200, a broken connection, or no answer within ten seconds; a failed connection
is opened anew for the next request. In BODY a ``#`` becomes a number that differs every time.

The last line of output is one JSON object. With --listen a run that has sent all its requests goes
on until a line comes on standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import uvloop

PATIENCE = 10.0


@dataclass
class Tally:
    """What the connections saw: end of each answered request (epoch s) and its latency (s)."""

    limit: int
    until: float
    released: bool
    sent: int = 0
    ended: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    slots: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    models: list[tuple[float, str]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        sent_all = self.released and self.sent >= self.limit
        return sent_all or time.perf_counter() >= self.until


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.buffer = b""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) >= length and self.waiting is not None and not self.waiting.done():
            self.buffer = b""
            self.waiting.set_result((head, rest[:length]))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionResetError(str(error or "closed by the server")))

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        waiting = self.waiting = loop.create_future()
        timer = loop.call_later(PATIENCE, lambda: waiting.done() or waiting.cancel())
        try:
            self.transport.write(request)
            return await waiting
        finally:
            timer.cancel()


async def client(options: argparse.Namespace, tally: Tally, number: int) -> None:
    """Ask again and again on one connection until the tally is over."""
    connection: Connection | None = None
    loop = asyncio.get_running_loop()
    due = time.perf_counter() + number / max(options.clients * (options.rate or 1), 1)
    while not tally.over:
        if options.rate:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        started = due if options.rate else time.perf_counter()
        due += 1 / options.rate if options.rate else 0
        tally.sent += 1
        try:
            if connection is None or connection.closed:
                _, connection = await loop.create_connection(Connection, "127.0.0.1", options.port)
            head, _body = await connection.ask(build(options, tally.sent))
        except (OSError, asyncio.CancelledError) as error:
            tally.failures.append((time.time(), repr(error)))
            if connection is not None:
                connection.transport.abort()
            connection = None
            continue
        note(options, tally, head, started)


def note(options: argparse.Namespace, tally: Tally, head: bytes, started: float) -> None:
    tally.took.append(time.perf_counter() - started)
    tally.ended.append(time.time())
    if head[9:12] != b"200":
        tally.failures.append((time.time(), head.split(b"\r\n", 1)[0].decode()))
        return
    tally.slots[header(head, b"x-riskcast-slot:")] += 1
    if options.trace:
        model = header(head, b"x-riskcast-model:")
        if not tally.models or tally.models[-1][1] != model:
            tally.models.append((tally.ended[-1], model))
    if options.ids:
        tally.ids.append(header(head, b"x-request-id:"))


def header(head: bytes, name: bytes) -> str:
    at = head.lower().find(name)
    return head[at + len(name) :].split(b"\r\n", 1)[0].strip().decode() if at >= 0 else ""


def build(options: argparse.Namespace, number: int) -> bytes:
    body = options.body.replace("#", f"{number % 1_000_003:07d}").encode()
    key = f"X-API-Key: {options.key}\r\n" if options.key else ""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def summary(tally: Tally, seconds: float) -> dict[str, object]:
    """Latencies in milliseconds; failed requests count as requests."""
    took = np.array(tally.took or [np.nan]) * 1e3
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return {
        "requests": tally.sent,
        "failed": len(tally.failures),
        "rps": round((tally.sent - len(tally.failures)) / seconds, 1),
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "p99_ms": round(float(p99), 3),
        "slots": dict(tally.slots),
        "failures": tally.failures[:20],
    }


async def run(options: argparse.Namespace) -> dict[str, object]:
    started = time.perf_counter()
    tally = Tally(options.requests, started + options.seconds, not options.listen)

    def release() -> None:
        tally.released = True
        asyncio.get_running_loop().remove_reader(sys.stdin)

    if options.listen:
        asyncio.get_running_loop().add_reader(sys.stdin, release)
    await asyncio.gather(*(client(options, tally, n) for n in range(options.clients)))
    said = summary(tally, time.perf_counter() - started)
    if options.trace:
        said["trace"] = [tally.ended, [round(t * 1e3, 2) for t in tally.took]]
        said["models"] = tally.models
    if options.ids:
        said["ids"] = tally.ids
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--requests", type=int, default=10**9)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, each client")
    parser.add_argument("--key", default="")
    parser.add_argument("--body", default="{}")
    parser.add_argument("--trace", action="store_true", help="give each instant, latency, model")
    parser.add_argument("--ids", action="store_true", help="give every answered request id")
    parser.add_argument("--listen", action="store_true", help="go on until a line on stdin")
    options = parser.parse_args()
    uvloop.install()
    print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main()
