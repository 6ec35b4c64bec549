"""What a check found, and the table of all that was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import polars as pl
from polars._typing import PolarsDataType

OK, WARN, ALARM = "ok", "warn", "alarm"
SCHEMA: dict[str, PolarsDataType] = {
    **dict.fromkeys(("product", "check", "subject"), pl.String),
    "at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("value", "threshold"), pl.Float64),
    **dict.fromkeys(("verdict", "why", "figures"), pl.String),
    "known_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one subject with what was known at an instant.

    Attributes
    ----------
    value, threshold : float or None
        None while there is too little to measure.
    verdict : {"ok", "warn", "alarm"}
    why : str
        The verdict in words.
    """

    check: str
    subject: str
    at: datetime
    value: float | None
    threshold: float | None
    verdict: str
    why: str
    figures: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def health_rows(product: str, findings: Iterable[Finding]) -> pl.DataFrame:
    """Return the findings as rows of `health`."""
    rows = [
        {
            "product": product,
            "check": found.check,
            "subject": found.subject,
            "at": found.at,
            "value": found.value,
            "threshold": found.threshold,
            "verdict": found.verdict,
            "why": found.why,
            "figures": json.dumps(dict(found.figures), sort_keys=True),
            "known_at": found.at,
            "source": "derived",
        }
        for found in findings
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
