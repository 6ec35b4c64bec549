"""How each slot fared, from nginx's access log: a pure tally and a reader that starts at the end.

An entry lists every attempt nginx made for a request, so that a failure another slot made good for
the client is still held against the slot that failed.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from riskcast.routing.base import SLOTS, Traffic

BLOCK = 1 << 18
# Each worker writes its own buffer when it is full or a second old, so lines are out of order.
DISORDER = timedelta(seconds=3)
_NEXT_ATTEMPT = re.compile(r", | : ")  # the latter after an internal redirect

log = logging.getLogger(__name__)


def tally(
    entries: Iterable[Mapping[str, Any]], product: str, ports: Mapping[str, str]
) -> dict[str, Traffic]:
    """Return how each slot fared with the product's requests.

    Parameters
    ----------
    entries : iterable of mappings
        Lines of the log.
    ports : mapping
        Port of an upstream to slot. Hosts say nothing: the log has numbers where the configuration
        has names, and a container that is made anew has another number.
    """
    took: dict[str, list[float]] = {slot: [] for slot in SLOTS}
    errors: Counter[str] = Counter()
    versions: dict[str, Counter[str]] = {slot: Counter() for slot in SLOTS}
    for entry in entries:
        if entry["routed"] != product:
            continue
        for address, status, seconds in attempts(entry):
            slot = ports.get(address.rpartition(":")[2])
            if slot is None:
                continue
            took[slot].append(seconds)
            errors[slot] += status >= 500
        if entry["slot"] in SLOTS and entry["model"]:
            versions[entry["slot"]][entry["model"].partition("/")[2]] += 1
    return {
        slot: Traffic(
            len(took[slot]), errors[slot], _p95(took[slot]), MappingProxyType(dict(versions[slot]))
        )
        for slot in SLOTS
    }


def attempts(entry: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Yield address, status and seconds of each attempt; status 0 where the client left first.

    nginx itself gives an attempt without an answer 502 or 504.
    """
    columns = (
        _NEXT_ATTEMPT.split(entry[name])
        for name in ("upstream", "upstream_status", "upstream_seconds")
    )
    for address, status, seconds in zip(*columns, strict=True):
        if address not in ("", "-"):
            yield (
                address,
                int(status) if status.isdigit() else 0,
                0.0 if seconds == "-" else float(seconds),
            )


def entries_since(path: Path, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entries of requests that ended at or after `since`, newest first.

    Read from the end; where the file begins later, the one it replaced (``.1``) is read on.
    An unfinished last line is not there yet.
    """
    first = since.timestamp()
    enough = (since - DISORDER).timestamp()
    for each in (path, path.with_name(f"{path.name}.1")):
        for line in _lines_backwards(each):
            entry = _parse(line)
            if entry is None:
                continue
            if entry["ended"] < enough:
                return
            if entry["ended"] >= first:
                yield entry


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file, last first; nothing if there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        at, tail = file.seek(0, 2), b""
        whole = False  # whether what lies in `tail` is followed by the end of a line
        while at > 0:
            size = min(BLOCK, at)
            at = file.seek(at - size)
            block = file.read(size)
            if len(block) < size:  # truncated meanwhile: what lay behind it is gone
                tail, whole = b"", False
            *ended, last = (block + tail).split(b"\n")
            if ended:
                yield from reversed([*ended[1:], last] if whole else ended[1:])
                tail, whole = ended[0], True
            else:
                tail = last
        if whole:
            yield tail


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return an entry, None for a line that a crash or a full disk has torn."""
    try:
        entry = json.loads(line)
    except ValueError:
        log.warning("a line of the access log is torn: %.80r", line)
        return None
    return entry if isinstance(entry, dict) and "ended" in entry else None


def _p95(took: list[float]) -> float:
    return sorted(took)[math.ceil(0.95 * len(took)) - 1] if took else 0.0
