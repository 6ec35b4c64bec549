"""What a write changes and what a read sees: pure functions that every lake shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import ContractBroken, SettingsError
from riskcast.core.window import Window
from riskcast.lake.arrow import DTYPES, conform
from riskcast.lake.contract import check, identity
from riskcast.tables import Table, Write
from riskcast.tables.spec import INGESTED_AT, KNOWN_AT


class Action(StrEnum):
    """How the rows of a change meet the stored ones."""

    ADD = "add"  # beside them
    SWAP = "swap"  # instead of the window's
    MERGE = "merge"  # instead of those of the same identity


@dataclass(frozen=True, slots=True)
class Change:
    """The least a write must do to the stored rows."""

    action: Action
    rows: pl.DataFrame


def inside(window: Window) -> pl.Expr:
    """True on rows that became known in the window, ``(start, end]``."""
    known = pl.col(KNOWN_AT.name)
    return (known > window.start) & (known <= window.end)


def declared(table: Table, stored: pl.DataFrame) -> pl.DataFrame:
    """Return stored rows with the declared columns: later ones null, those of newer code left out.

    Raises
    ------
    ContractBroken
        If a column declared since then is not nullable, or its type has changed.
    """
    known = [column.name for column in table.every_column if column.name in stored.columns]
    return conform(table, stored.select(known))


def refuse_newer(table: Table, stored: Iterable[str]) -> None:
    """Refuse to write a table whose stored columns are not all declared.

    Raises
    ------
    ContractBroken
        If newer code has written it: this code would write its columns as null.
    """
    if unknown := sorted(set(stored) - {column.name for column in table.every_column}):
        raise ContractBroken(
            table.name,
            "stored columns are declared",
            f"undeclared {', '.join(unknown)}; newer code wrote the table, update this one",
        )


def offered(table: Table, frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the rows of the window in the declared shape, checked, stamped, sorted by key.

    Raises
    ------
    ContractBroken
        If the shape is wrong, or a row of the window breaks a rule.
    """
    shaped = conform(table, frame)
    # A row that does not say when it was known stays in, for the contract to refuse.
    rows = check(table, shaped.filter(inside(window).fill_null(value=True)))
    stamp = pl.lit(wall()).cast(DTYPES[INGESTED_AT.kind]).alias(INGESTED_AT.name)
    return rows.with_columns(stamp).sort(identity(table))


def plan(table: Table, stored: pl.DataFrame, rows: pl.DataFrame, window: Window) -> Change | None:
    """Return what must change so that the write holds, None if nothing.

    Parameters
    ----------
    stored : DataFrame
        Every stored row, declared columns.
    rows : DataFrame
        Result of `offered` for the same window.

    Raises
    ------
    ContractBroken
        If replacing the window would leave a key twice, once outside the window.
    """
    key = identity(table)
    if table.write == Write.REPLACE:
        return _replace(table, stored, rows, window)
    if table.write == Write.APPEND:
        new = rows.join(stored, on=key, how="anti")
        return Change(Action.ADD, new) if new.height else None
    differing = _differing(table, rows, stored)
    if differing.is_empty():
        return None
    present = differing.join(stored, on=key, how="semi").height > 0
    return Change(Action.MERGE if present else Action.ADD, differing)


def apply(table: Table, stored: pl.DataFrame, change: Change, window: Window) -> pl.DataFrame:
    """Return the stored rows after the change."""
    match change.action:
        case Action.ADD:
            kept = stored
        case Action.SWAP:
            kept = stored.filter(~inside(window))
        case Action.MERGE:
            kept = stored.join(change.rows, on=identity(table), how="anti")
    return pl.concat([kept, change.rows])


def view(
    table: Table, stored: pl.DataFrame, as_of: datetime | None, *, all_vintages: bool
) -> pl.DataFrame:
    """Return the rows known by `as_of`, sorted by key; of each key the vintage known last.

    Raises
    ------
    SettingsError
        If `as_of` has no time zone.
    """
    known = KNOWN_AT.name
    if as_of is not None:
        if as_of.tzinfo is None:
            raise SettingsError(f"as_of {as_of} has no time zone; give UTC")
        stored = stored.filter(pl.col(known) <= as_of)
    rows = stored.sort(identity(table))
    if table.vintages and not all_vintages:
        rows = rows.unique(table.key, keep="last", maintain_order=True)
    return rows


def _replace(
    table: Table, stored: pl.DataFrame, rows: pl.DataFrame, window: Window
) -> Change | None:
    before = stored.filter(inside(window))
    if before.height == rows.height and _differing(table, rows, before).is_empty():
        return None
    key = identity(table)
    twice = stored.filter(~inside(window)).join(rows, on=key, how="semi")
    if twice.height:
        first = twice.select(list(dict.fromkeys((*key, KNOWN_AT.name)))).row(0, named=True)
        values = " ".join(f"{name}={value}" for name, value in first.items())
        raise ContractBroken(
            table.name,
            f"{' + '.join(key)} is unique",
            f"{twice.height} of {rows.height} rows are also stored outside the window "
            f"({window.start.isoformat()}, {window.end.isoformat()}], first {values}; "
            "write a window that holds both instants",
        )
    return Change(Action.SWAP if before.height else Action.ADD, rows)


def _differing(table: Table, rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not stored as they are, bookkeeping apart."""
    payload = [column.name for column in table.every_column if column != INGESTED_AT]
    return rows.join(stored, on=payload, how="anti", nulls_equal=True)
