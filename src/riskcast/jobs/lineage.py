"""What a forecast was made from: table versions, code, environment, model."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import polars as pl

from riskcast import __version__
from riskcast.core.errors import NoSuchSession, SettingsError
from riskcast.lake import Lake
from riskcast.lake.base import Commit
from riskcast.tables import Table
from riskcast.tables import table as find_table
from riskcast.tables.output import PREDICTIONS_DAILY

SLOT = "champion"


@cache
def git_sha() -> str:
    """Return the commit of the running code.

    An image has no repository, so its build passes the commit in ``GIT_SHA``; without either the
    package version stands in, because a made-up commit would be worse than none.
    """
    if sha := os.environ.get("GIT_SHA", ""):
        return sha
    if shutil.which("git") is None:
        return f"riskcast-{__version__}"
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else f"riskcast-{__version__}"


@cache
def environment_digest() -> str:
    """Return a digest of the Python version and every installed distribution."""
    names = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    text = "\n".join([sys.version, *names])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def table_versions(lake: Lake, tables: Iterable[Table]) -> dict[str, int | None]:
    """Return the newest version of each table by name."""
    return {table.name: lake.version(table) for table in tables}


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one published forecast was made from.

    Attributes
    ----------
    row : mapping
        The forecast as published.
    code, environment, digest : str
        Commit of the code, digest of the packages, digest of the model's files; "unknown" where
        an earlier release did not record it.
    versions : mapping of table name to version
    commits : mapping of table name to the commit that made that version, None if unknown
    """

    row: dict[str, Any]
    code: str
    environment: str
    digest: str
    versions: dict[str, int | None]
    commits: dict[str, Commit | None]


def parse_prediction(text: str) -> tuple[str, date, str]:
    """Read ``SYMBOL:DATE[:SLOT]``; the slot is champion when left out.

    Raises
    ------
    SettingsError
        If the text has another form.
    """
    symbol, _, rest = text.partition(":")
    day, _, slot = rest.partition(":")
    try:
        return symbol, date.fromisoformat(day), slot or SLOT
    except ValueError as error:
        raise SettingsError(
            f"--prediction {text!r}: expected SYMBOL:DATE[:SLOT], e.g. SPY:2018-12-31"
        ) from error


def prediction_lineage(lake: Lake, symbol: str, day: date, slot: str = SLOT) -> Lineage:
    """Return what the published forecast was made from.

    Raises
    ------
    NoSuchSession
        If no such forecast was published; the message names the newest that was.
    """
    published = lake.read(PREDICTIONS_DAILY)
    own = pl.col("symbol") == symbol
    found = published.filter(own & (pl.col("date") == day) & (pl.col("slot") == slot))
    if found.is_empty():
        last = published.filter(own & (pl.col("slot") == slot))["date"].sort()
        newest = f"the newest is of {last[-1]}" if len(last) else "none was published yet"
        raise NoSuchSession(f"no forecast of {symbol} {day} by the {slot} was published; {newest}")
    row = found.row(0, named=True)
    said = json.loads(row["lineage"])
    versions: dict[str, int | None] = said["tables"]
    return Lineage(
        row,
        said.get("git_sha", "unknown"),
        said.get("environment", "unknown"),
        said.get("digest", "unknown"),
        versions,
        {name: _commit(lake, name, version) for name, version in versions.items()},
    )


def _commit(lake: Lake, name: str, version: int | None) -> Commit | None:
    commits = {commit.version: commit for commit in lake.history(find_table(name))}
    return None if version is None else commits.get(version)
