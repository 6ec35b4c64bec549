"""A folder of files as a source: `market_daily`, `macro` and, optionally, `release_calendar`.

A file is read whole and checked before its first row is handed over, once per source object.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import SourceMalformed, SourceMissing
from riskcast.core.window import Window
from riskcast.sources.base import known_in, last_session
from riskcast.sources.checks import check_rows
from riskcast.sources.reading import Read, read_csv, read_parquet
from riskcast.sources.schedule import no_releases, with_known_at
from riskcast.tables import Column, Table
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR
from riskcast.tables.spec import SOURCE
from riskcast.transforms.sessions import known_at

CALENDAR = "release_calendar"
REF_PERIOD = RELEASE_CALENDAR.column("ref_period")
REF_MONTH = replace(REF_PERIOD, name="ref_month")
PLANNED = timedelta(days=5 * 365)  # nobody publishes a schedule for later


class FilesSource:
    """Bars and macro values from a folder.

    Parameters
    ----------
    folder : Path
        Holds ``market_daily.parquet`` or ``.csv`` with the columns of `raw.market` and
        ``macro.parquet`` or ``.csv`` with those of `raw.macro`; may hold
        ``release_calendar.parquet`` or ``.csv`` with event, release_datetime and, optionally,
        ref_period, also called ref_month. A column ``source`` is optional everywhere, other
        columns and files are ignored.
    asset : str
        Symbol whose last session `newest` tells.

    Notes
    -----
    Dates are ISO dates, instants ISO 8601 with a UTC offset, numbers plain decimals, an empty
    CSV field is a missing value. A bar is known 15 minutes after the close of its session.
    """

    name = "files"
    look_back = timedelta(0)

    def __init__(self, folder: Path, asset: str) -> None:
        self.folder = folder
        self.asset = asset

    def fetch_market(self, window: Window) -> pl.DataFrame:
        """Return the bars that became known in the window."""
        return known_in(self._market, window)

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        """Return the macro vintages released in the window."""
        return known_in(self._macro, window)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        """Return the releases that became known in the window; none without the file."""
        return known_in(self._calendar, window)

    def newest(self) -> str:
        """Return the asset's last session, ISO date; raise SourceMissing if it has none."""
        return last_session(self._market, self.asset, f"market_daily in {self.folder}")

    @cached_property
    def _market(self) -> pl.DataFrame:
        rows = load_rows(self.folder, "market_daily", RAW_MARKET)
        return _with_known_at(rows, known_at(rows["date"]))

    @cached_property
    def _macro(self) -> pl.DataFrame:
        rows = load_rows(self.folder, "macro", RAW_MACRO)
        return _with_known_at(rows, rows["release_datetime"].alias("known_at"))

    @cached_property
    def _calendar(self) -> pl.DataFrame:
        return load_calendar(self.folder)


def load_rows(folder: Path, stem: str, table: Table) -> pl.DataFrame:
    """Read and check ``<folder>/<stem>.parquet`` or ``.csv`` as rows of `table`, with source.

    Raises
    ------
    SourceMissing
        If neither file or one of its columns is there, or the file holds no rows.
    SourceMalformed
        If both files are there, or a value breaks the table's declaration.
    """
    path = _the_file(folder, stem)
    columns = table.columns
    read = _read(path, columns)
    check_rows(read, table, wall())
    rows = read.rows
    if SOURCE.name not in rows.columns:
        rows = rows.with_columns(pl.lit(f"files.{stem}").alias(SOURCE.name))
    return rows.select(*(column.name for column in columns), SOURCE.name)


def load_calendar(folder: Path) -> pl.DataFrame:
    """Read and check ``<folder>/release_calendar.parquet`` or ``.csv``; no rows without it.

    Raises
    ------
    SourceMissing, SourceMalformed
        As `load_rows`, but releases may lie up to `PLANNED` ahead.
    """
    if not any(path.is_file() for path in _paths(folder, CALENDAR)):
        return no_releases()
    path = _the_file(folder, CALENDAR)
    needed = tuple(c for c in RELEASE_CALENDAR.columns if c.name != REF_PERIOD.name)
    reader = read_csv if path.suffix == ".csv" else read_parquet
    read = reader(path, needed, (REF_PERIOD, REF_MONTH, SOURCE))
    rows = read.rows
    if SOURCE.name not in rows.columns:
        rows = rows.with_columns(pl.lit(f"files.{CALENDAR}").alias(SOURCE.name))
    said = [pl.col(n) for n in (REF_PERIOD.name, REF_MONTH.name) if n in rows.columns]
    period = pl.coalesce(*said, pl.lit(None, pl.Date)).alias(REF_PERIOD.name)
    read = replace(read, rows=rows.with_columns(period))
    check_rows(read, RELEASE_CALENDAR, wall() + PLANNED)
    return with_known_at(read.rows)


def _with_known_at(rows: pl.DataFrame, instants: pl.Series) -> pl.DataFrame:
    """Insert known_at before source, where the tables have it."""
    return rows.insert_column(rows.width - 1, instants)


def _paths(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}{suffix}" for suffix in (".parquet", ".csv")]


def _the_file(folder: Path, stem: str) -> Path:
    paths = _paths(folder, stem)
    found = [path for path in paths if path.is_file()]
    if not found:
        raise SourceMissing(f"{folder} has neither {paths[0].name} nor {paths[1].name}")
    if len(found) > 1:
        raise SourceMalformed(f"{folder} has both {paths[0].name} and {paths[1].name}; keep one")
    return found[0]


def _read(path: Path, columns: tuple[Column, ...]) -> Read:
    reader = read_csv if path.suffix == ".csv" else read_parquet
    return reader(path, columns, optional=(SOURCE,))
