"""Answers of a fetch under way, so that a retry goes on where the last try stopped."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.window import Window

# Long enough for the retries of a step; short enough that a later run asks anew what may have
# been published since.
FRESH = timedelta(hours=1)


class Cache:
    """Frames of one fetch, each a Parquet file below ``<root>/<fetch>-<window>/``.

    Parameters
    ----------
    root : Path
        ``<home>/cache``.
    fetch : str
        What is fetched from whom, e.g. ``"fred"``.
    window : Window
        What it is fetched for; another window shares nothing.
    """

    def __init__(self, root: Path, fetch: str, window: Window) -> None:
        span = f"{window.start.isoformat()}|{window.end.isoformat()}"
        self.root = root
        self.folder = root / f"{fetch}-{hashlib.sha256(span.encode()).hexdigest()[:16]}"

    def get(self, name: str, fetch: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Return what an earlier try of the last hour kept under the name, or fetch and keep it."""
        path = self.folder / f"{name}.parquet"
        if path.is_file() and _fresh(path):
            return pl.read_parquet(path)
        rows = fetch()
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        rows.write_parquet(draft)
        draft.replace(path)  # whole or not at all
        return rows

    def drop(self, name: str) -> None:
        """Forget one answer, for the next try to ask again."""
        (self.folder / f"{name}.parquet").unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget this fetch, which is complete, and those that were given up."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.root.is_dir():
            for folder in self.root.iterdir():
                if not _fresh(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _fresh(path: Path) -> bool:
    try:
        age = wall().timestamp() - path.stat().st_mtime
    except FileNotFoundError:  # a run beside this one has cleared it
        return False
    return 0 <= age < FRESH.total_seconds()
