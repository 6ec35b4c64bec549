"""Move the champion, and write it down."""

from __future__ import annotations

import hashlib
from datetime import datetime

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.registry import Registry
from riskcast.tables import output

NOTHING = pl.DataFrame(
    schema={
        **dict.fromkeys(("event_id", "product", "action", "model_version"), pl.String),
        "at": pl.Datetime("us", "UTC"),
        **dict.fromkeys(("previous", "who", "why"), pl.String),
        "known_at": pl.Datetime("us", "UTC"),
        "source": pl.String,
    }
)


def promote_version(
    registry: Registry,
    lake: Lake,
    product: str,
    version: str,
    *,
    who: str,
    why: str,
) -> None:
    """Make a version champion and append the ledger; nothing happens if it is already.

    Raises
    ------
    ModelMissing, ArtifactRefused
        If the version cannot be served; the champion stays.
    """
    row = move_champion(registry, product, version, who=who, why=why, known_at=wall())
    if not row.is_empty():
        at = row["known_at"][0]
        lake.write(output.DEPLOYMENTS, row, Window(datetime(1900, 1, 1, tzinfo=at.tzinfo), at))


def move_champion(
    registry: Registry, product: str, version: str, *, who: str, why: str, known_at: datetime
) -> pl.DataFrame:
    """Move the alias and return the ledger's row, none if the version was champion already."""
    before = registry.promote(product, version, who=who, why=why)
    if before == version:
        return NOTHING
    said = f"{product}|{version}|{before}|{known_at.isoformat()}"
    return pl.DataFrame(
        [
            {
                "event_id": hashlib.sha256(said.encode()).hexdigest()[:16],
                "product": product,
                "action": "promote",
                "model_version": version,
                "at": wall(),
                "previous": before,
                "who": who,
                "why": why,
                "known_at": known_at,
                "source": "registry",
            }
        ],
        schema=NOTHING.schema,
    )
