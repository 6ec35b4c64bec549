"""Whether a server answers: each check returns the fault in words, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Http:
    """Healthy when `url` answers 200 and, if `path` is given, its JSON says healthy there."""

    url: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """Healthy when the command ends well and prints `says`."""

    command: tuple[str, ...]
    says: str
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Ended:
    """Healthy when the process has ended with status 0: a preparation, not a server."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Healthy while the process runs: it serves nobody."""


Health = Http | Answers | Ended | Runs


def fault(check: Http | Answers | Runs) -> str:
    """Return why the server is not healthy, an empty text if it is."""
    if isinstance(check, Runs):
        return ""
    return _http_fault(check) if isinstance(check, Http) else _command_fault(check)


def _http_fault(check: Http) -> str:
    address = urlsplit(check.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", address.path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        return f"{check.url} does not answer ({type(error).__name__})"
    finally:
        connection.close()
    if answer.status != 200:
        return f"{check.url} answers {answer.status}"
    return _json_fault(check, body) if check.path else ""


def _json_fault(check: Http, body: bytes) -> str:
    try:
        said = json.loads(body)
        for name in check.path:
            said = said[name]
    except (ValueError, KeyError, TypeError):
        return f"{check.url} says nothing of {'.'.join(check.path)}"
    return "" if said == "healthy" else f"{check.url}: {'.'.join(check.path)} is {said}"


def _command_fault(check: Answers) -> str:
    name = Path(check.command[0]).name
    try:
        ran = subprocess.run(
            check.command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            env={"PATH": os.defpath, **check.environment},
        )
    except subprocess.TimeoutExpired:
        return f"{name} had no answer within {TIMEOUT_SECONDS:.0f} s"
    if ran.returncode == 0 and check.says in ran.stdout:
        return ""
    return f"{name}: {(ran.stdout + ran.stderr).strip()[-200:] or ran.returncode}"
