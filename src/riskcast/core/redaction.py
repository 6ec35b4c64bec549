"""No secret in a log or a message: what looks like one is masked on its way out.

Installed once at every door of the program, it covers each record of each library that logs
there, tracebacks included. It is the net below, not the rule: code does not log secrets.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

MASK = "***"
SHORTEST = 8  # characters; masking a shorter value of the environment would blot out words
_NAMED = re.compile(r"(PASSWORD|SECRET|TOKEN|API_KEY|ACCESS_KEY)(_ID)?$")
_WORDS = (
    r"pass(?:word|wd|phrase)|secret|(?:access|auth|session|security)[-_]?token|token|credentials?"
    r"|api[-_]?key|access[-_]?key(?:[-_]?id)?|secret[-_]?access[-_]?key|private[-_]?key|signature"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
        ),
        MASK,
    ),
    # scheme://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*):[^\s@'\"]+@", re.I), rf"\1:{MASK}@"),
    # Headers, as text, in a dict or as a list of pairs of bytes.
    (
        re.compile(
            r"((?:proxy-)?authorization|x-api-key|x-amz-security-token|set-cookie|cookie)"
            r"(['\"]?\s*[:=,]\s*(?:b?['\"])?)(?:(?:basic|bearer|token|aws4-hmac-sha256)\s+)?"
            r"[^\s'\"]+",
            re.I,
        ),
        rf"\1\2{MASK}",
    ),
    # name=value and "name": "value"; a number or a path is no secret.
    (
        re.compile(
            rf"((?:\b|_)(?:{_WORDS})['\"]?\s*[=:]\s*(?:b?['\"])?)(?![\d.]+\b|/)[^\s'\"&,;)}}\]]+",
            re.I,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}\b"), rf"\1{MASK}"),
    (re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9+/_.=-]{16,}", re.I), rf"\1 {MASK}"),
)
_values: tuple[str, ...] = ()


def redact(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    for value in _values:
        text = text.replace(value, MASK)
    for pattern, masked in _RULES:
        text = pattern.sub(masked, text)
    return text


def install(environ: Mapping[str, str] | None = None) -> None:
    """Mask secrets in every log record and uncaught traceback of this process from now on.

    Values of variables that are named like a secret are masked wherever they appear.
    """
    global _values  # noqa: PLW0603  one process, one environment
    environ = os.environ if environ is None else environ
    named = {value for name, value in environ.items() if _NAMED.search(name.upper())}
    _values = tuple(sorted((v for v in named if len(v) >= SHORTEST), key=len, reverse=True))
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return
    logging.setLogRecordFactory(_redacting(made))
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_uncaught_in_a_thread


def _redacting(made: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def record(*args: object, **kwargs: object) -> logging.LogRecord:
        found = made(*args, **kwargs)
        try:
            said = found.getMessage()
        except (TypeError, ValueError):
            return found  # arguments that do not fit: the handler tells of it
        masked = redact(said)
        if masked != said:
            found.msg, found.args = masked, ()
        if found.exc_info and found.exc_info[0] is not None:
            # A formatter that finds the text made does not make it again.
            found.exc_text = redact("".join(traceback.format_exception(*found.exc_info)).rstrip())
        return found

    record.redacts = True  # type: ignore[attr-defined]
    return record


def _tell_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _tell_uncaught_in_a_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is not SystemExit and given.exc_value is not None:
        name = given.thread.name if given.thread else "?"
        sys.stderr.write(f"Exception in thread {name}:\n")
        _tell_uncaught(given.exc_type, given.exc_value, given.exc_traceback)
