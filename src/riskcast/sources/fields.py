"""Values out of JSON and CSV, one by one: exactly what they should be, or SourceMalformed."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from riskcast.core.errors import SourceMalformed

DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T00:00:00(\.0+)?(Z|\+00:00)?)?")
YEARS = range(1928, 2045)  # inside the calendar of sessions, with room for the next session
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


def day(value: object, where: str) -> date:
    """Return an ISO date, alone or as a midnight of UTC."""
    shaped = DAY.fullmatch(value) if isinstance(value, str) else None
    if shaped is None:
        raise SourceMalformed(f"{where}: {shown(value)} is no date like 2018-12-31")
    try:
        found = date.fromisoformat(shaped[1])
    except ValueError as error:
        raise SourceMalformed(f"{where}: {shown(value)} is no day of the calendar") from error
    if found.year not in YEARS:
        raise SourceMalformed(f"{where}: {shown(value)} is outside {YEARS[0]} to {YEARS[-1]}")
    return found


def number(value: object, where: str) -> float:
    """Return a finite number, given as one or as plain decimal text."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        found = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
    else:
        raise SourceMalformed(f"{where}: {shown(value)} is no number")
    if not math.isfinite(found):
        raise SourceMalformed(f"{where}: {shown(value)} is not finite")
    return found


def optional_number(value: object, where: str) -> float | None:
    """Return a finite number, None for null."""
    return None if value is None else number(value, where)


def mapping(value: object, where: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise SourceMalformed(f"{where}: {shown(value)} is no JSON object; the schema has changed")
    return value


def items(value: object, where: str) -> list[Any]:
    """Return a JSON array."""
    if not isinstance(value, list):
        raise SourceMalformed(f"{where}: {shown(value)} is no JSON array; the schema has changed")
    return value


def member(value: dict[str, Any], name: str, where: str) -> Any:
    """Return a member of a JSON object that must have it."""
    if name not in value:
        has = ", ".join(sorted(map(str, value))[:8])
        raise SourceMalformed(f"{where} lacks {name!r}; it has {has}: the schema has changed")
    return value[name]


def shown(value: object) -> str:
    """Return the value's beginning, on one line."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1000:
        return "a number of more than 300 digits"  # Python refuses to print the longest
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
