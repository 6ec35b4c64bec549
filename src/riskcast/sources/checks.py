"""Checks of a file's rows against their table: the first row that breaks a rule is named."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import SourceMalformed
from riskcast.core.window import Window
from riskcast.sources.reading import Read
from riskcast.tables import Column, Kind, Table
from riskcast.tables.spec import SOURCE

PRICES = ("open", "high", "low", "close", "adj_close")


def check_rows(read: Read, table: Table, now: datetime) -> None:
    """Check every value and the key.

    Parameters
    ----------
    now : datetime
        UTC instant after which nothing can have happened.

    Raises
    ------
    SourceMalformed
        For a value that is missing, not finite, out of its bounds or choices, or lies ahead of
        `now`; a price that is not positive, unless its basis is spot; a key that occurs twice.
    """
    source = (SOURCE,) if SOURCE.name in read.rows.columns else ()
    for column in (*table.columns, *source):
        for broken, problem in _rules(column, now):
            _refuse(read, column.name, broken, problem)
    if "price_basis" in read.rows.columns:
        # Oil settled below zero in 2020; what else trades below it is an error of the file.
        for price in PRICES:
            broken = (pl.col("price_basis") != "spot") & (pl.col(price) <= 0.0)
            _refuse(read, price, broken, "is not positive, and price_basis is not spot")
    _refuse_repeated(read, table.key)


def settled(what: str, rows: pl.DataFrame, table: Table, window: Window) -> pl.DataFrame:
    """Return a vendor's rows that are known in the window and by now, checked.

    What is not known yet, today's unfinished bar for one, is left for a later window.

    Raises
    ------
    SourceMalformed
        As `check_rows`, naming `what`.
    """
    now = wall()
    end = min(window.end, now)
    known = rows.filter((pl.col("known_at") > window.start) & (pl.col("known_at") <= end))
    place = pl.Series("place", range(1, known.height + 1), dtype=pl.Int64)
    check_rows(Read(what, known, place, "row"), table, now)
    return known


def _rules(column: Column, now: datetime) -> list[tuple[pl.Expr, str]]:
    """Return (condition that must not hold, what to say of the value) of a column."""
    value = pl.col(column.name)
    rules: list[tuple[pl.Expr, str]] = []
    if not column.nullable:
        rules.append((value.is_null(), "is missing"))
    if column.kind is Kind.FLOAT:
        rules.append((~value.is_finite(), "is not finite"))
    if column.kind is Kind.TEXT:
        rules.append((value.str.strip_chars() != value, "has spaces around it"))
        rules.append((value == "", "is empty"))
    if column.kind is Kind.DATE:
        rules.append((value > now.date(), f"lies ahead of today, {now.date()}"))
    if column.kind is Kind.INSTANT:
        rules.append((value > now, f"lies ahead of now, {now:%Y-%m-%d %H:%M} UTC"))
    if column.low is not None:
        rules.append((value < column.low, f"is below {column.low:g}"))
    if column.high is not None:
        rules.append((value > column.high, f"is above {column.high:g}"))
    if column.choices:
        rules.append((~value.is_in(column.choices), f"is not one of {', '.join(column.choices)}"))
    return rules


def _refuse(read: Read, column: str, broken: pl.Expr, problem: str) -> None:
    rows = read.rows.select(broken.arg_true()).to_series()
    if len(rows):
        raise read.malformed(int(rows[0]), column, problem)


def _refuse_repeated(read: Read, key: tuple[str, ...]) -> None:
    seen = read.rows.select(pl.struct(key).alias("key"), place=read.place)
    repeated = seen.filter(~pl.col("key").is_first_distinct())
    if repeated.is_empty():
        return
    again, at = repeated.row(0)
    first = seen.filter(pl.col("key") == pl.lit(again, dtype=seen.schema["key"]))["place"][0]
    values = ", ".join(str(value) for value in again.values())
    raise SourceMalformed(
        f"{read.path}, {read.unit} {at}, column {' + '.join(key)}: {values} is already "
        f"in {read.unit} {first}"
    )
