"""GET over HTTP for sources: an answer whole and of the kind asked for, or a named error.

Waiting, pacing and giving up happen here, so that vendors only say what to ask and how to read it.
A key never leaves by the back door: addresses are named without their query, and what a server
echoes is masked.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from ssl import SSLContext
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import httpx
import stamina

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import (
    SourceError,
    SourceMalformed,
    SourceMissing,
    SourceRefused,
    SourceUnreachable,
)
from riskcast.sources.keys import SHORTEST_KEY

MAX_BYTES = 64_000_000  # the longest true answer, a page of FRED, is 10 MB
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524})
EXCERPT = 120
T = TypeVar("T")
QUERY = re.compile(r"\?[^\s'\"]+")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often one request may try.

    Attributes
    ----------
    tries : int
    total_seconds : float
        Over all tries and waits.
    silence_seconds : float
        Longest wait for the next byte.
    first_wait, longest_wait, jitter : float
        Seconds between tries: doubling from the first to the longest, plus up to `jitter`.
    pace : float
        Share of the vendors' least interval between requests to keep: 0 for a mirror of one's own.
    """

    tries: int = 6
    total_seconds: float = 180.0
    silence_seconds: float = 20.0
    first_wait: float = 1.0
    longest_wait: float = 30.0
    jitter: float = 1.0
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes
    ----------
    who : str
        Vendor and address without its query, for messages.
    kind : str
        Media type, lower case, empty where the server names none.
    secrets : tuple of str
        What `excerpt` masks.
    """

    who: str
    status: int
    kind: str
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def text(self) -> str:
        """Return the body as UTF-8; raise SourceMalformed if it is a web page or not UTF-8."""
        try:
            text = self.body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceMalformed(f"{self.who} sent bytes that are not UTF-8") from error
        if self.kind == "text/html" or text.lstrip()[:1] == "<":
            raise SourceMalformed(f"{self.who} sent a web page instead of data: {self.excerpt()}")
        return text

    def json(self) -> Any:
        """Return the body as JSON; raise SourceMalformed if it is anything else."""
        text = self.text()
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SourceMalformed(f"{self.who} sent no whole JSON: {self.excerpt()}") from error

    def excerpt(self) -> str:
        """Return the beginning of the body on one line, secrets masked."""
        return mask(" ".join(self.body.decode("utf-8", "replace").split()), self.secrets)[:EXCERPT]


def mask(text: str, secrets: tuple[str, ...]) -> str:
    """Return the text with every secret, plain or quoted, replaced by three stars."""
    for secret in secrets:
        for form in {secret, quote(secret), quote_plus(secret)}:
            text = text.replace(form, "***")
    return text


def patiently(patience: Patience, ask: Callable[[float], T]) -> T:
    """Return what `ask` returns, asking again after SourceUnreachable while there is patience.

    Parameters
    ----------
    ask : callable (deadline)
        Told the instant, in monotonic seconds, at which all patience ends.

    Raises
    ------
    SourceUnreachable
        The last one, with the number of tries. A wait asked for by the server that would outlast
        the patience is not begun.
    """
    began = seconds()
    deadline = began + patience.total_seconds

    def again(error: Exception) -> bool | float:
        if not isinstance(error, SourceUnreachable):
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if seconds() + error.retry_after < deadline else False

    tries = 0
    try:
        # A context, not a decorator: the decorator's log would carry the arguments.
        for attempt in stamina.retry_context(
            on=again,
            attempts=patience.tries,
            timeout=patience.total_seconds,
            wait_initial=patience.first_wait,
            wait_max=patience.longest_wait,
            wait_jitter=patience.jitter,
        ):
            with attempt:
                tries = attempt.num
                got = ask(deadline)
    except SourceUnreachable as error:
        raise SourceUnreachable(
            f"{error}; gave up after {tries} tries in {seconds() - began:.0f} s, "
            "run the step again later",
            error.retry_after,
        ) from error
    return got


def no_judgement(_answer: Answer) -> None:
    """Find nothing wrong."""


class Http:
    """One server.

    Parameters
    ----------
    name : str
        Vendor, for messages.
    base_url : str
    interval : float
        Least seconds between two requests: the vendor's rate limit.
    query, headers : mapping, optional
        Sent with every request; their values are secret.
    judge : callable (Answer), optional
        Looks at every answer first and raises what the vendor means by it: SourceUnreachable
        where another try may help, another SourceError where it will not.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        interval: float,
        patience: Patience,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        judge: Callable[[Answer], None] = no_judgement,
    ) -> None:
        self.name, self.base_url = name, base_url.rstrip("/")
        self.patience, self.judge = patience, judge
        self._interval, self._free_at = interval * patience.pace, 0.0
        self._query, self._headers = dict(query or {}), dict(headers or {})
        said = " ".join((*self._query.values(), *self._headers.values())).split()
        self._secrets = tuple(part for part in said if len(part) >= SHORTEST_KEY)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to one GET.

        Raises
        ------
        SourceUnreachable
            If no whole answer came within the patience: 429, 5xx, silence, a cut connection.
        SourceRefused, SourceMissing, SourceMalformed
            At once: 401 and 403, 404 and 410, any other status that is not 200.
        """
        return patiently(self.patience, lambda deadline: self._once(path, params or {}, deadline))

    def _once(self, path: str, params: Mapping[str, str], deadline: float) -> Answer:
        time.sleep(max(0.0, self._free_at - seconds()))
        self._free_at = seconds() + self._interval
        url = f"{self.base_url}/{path.lstrip('/')}"
        who = f"{self.name} ({mask(url, self._secrets)})"
        left = max(0.001, min(self.patience.silence_seconds, deadline - seconds()))
        try:
            with (
                httpx.Client(timeout=left, headers=self._headers, verify=_tls()) as client,
                client.stream("GET", url, params={**self._query, **params}) as response,
            ):
                body = _whole_body(response, who, deadline)
        except httpx.InvalidURL as error:
            raise SourceMalformed(f"{who} is no address that can be asked") from error
        # A body cut short, or shorter than announced, is a transport error too.
        except (httpx.TransportError, httpx.DecodingError) as error:
            said = mask(str(error), self._secrets) or type(error).__name__
            raise SourceUnreachable(f"{who} gave no whole answer: {said}") from error
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        answer = Answer(who, response.status_code, kind, body, self._secrets)
        if answer.status in TRANSIENT:
            raise SourceUnreachable(
                f"{who} answered {answer.status}: {answer.excerpt()}",
                _retry_after(response.headers.get("retry-after", "")),
            )
        self.judge(answer)
        if answer.status != httpx.codes.OK:
            raise _refusal(answer)
        return answer


@cache
def _tls() -> SSLContext:
    return httpx.create_ssl_context()  # reads every root certificate: once is enough


def _whole_body(response: httpx.Response, who: str, deadline: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise SourceMalformed(f"{who} sent more than {MAX_BYTES // 1_000_000} MB")
        # A server that drips bytes never falls silent.
        if seconds() > deadline:
            raise SourceUnreachable(f"{who} was too slow: {len(body)} bytes in all the time given")
    return bytes(body)


def _refusal(answer: Answer) -> SourceError:
    said = f"{answer.who} answered {answer.status}: {answer.excerpt()}"
    if answer.status in (401, 403):
        return SourceRefused(said)
    if answer.status in (404, 410):
        return SourceMissing(said)
    return SourceMalformed(said)


def _retry_after(header: str) -> float | None:
    """Return the seconds of a Retry-After header, which may also be a date; None without one."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - wall()).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None


class _WithoutQuery(logging.Filter):
    """Strips queries off addresses in logs: httpx names each one whole, httpcore every header."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = QUERY.sub("?***", record.getMessage()), ()
        return True


for _name in ("httpx", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_WithoutQuery())
