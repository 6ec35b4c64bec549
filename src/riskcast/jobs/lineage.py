"""What a forecast was made from: table versions, code, environment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from riskcast import __version__
from riskcast.lake import Lake
from riskcast.tables import Table


@cache
def git_sha() -> str:
    """Return the commit of the running code.

    An image has no repository, so its build passes the commit in ``GIT_SHA``; without either the
    package version stands in, because a made-up commit would be worse than none.
    """
    if sha := os.environ.get("GIT_SHA", ""):
        return sha
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
