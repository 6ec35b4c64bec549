"""Turns: long work of a thread rests between its pieces, so that requests beside it do not wait.

CPython runs one thread at a time, and the machine's cores are shared with those who ask: work of
a tenth of a second in one piece doubles the latency of every request of that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import sleep, thread_time

REST = 9.0  # in multiples of the work before it: at most a tenth of a core
PIECE = 0.0002  # seconds of work that are worth a rest

_rested: ContextVar[list[float] | None] = ContextVar("rested", default=None)


@contextmanager
def taking_turns() -> Iterator[None]:
    """Let `take_turn` rest within, in this thread."""
    token = _rested.set([thread_time()])
    try:
        yield
    finally:
        _rested.reset(token)


def take_turn() -> None:
    """Rest, if this thread takes turns and has worked for a while; else do nothing."""
    rested = _rested.get()
    if rested is None:
        return
    worked = thread_time() - rested[0]
    if worked >= PIECE:
        sleep(REST * worked)
        rested[0] = thread_time()
