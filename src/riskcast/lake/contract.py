"""What a table's declaration forbids, as rules; a write that breaks one is refused whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

import polars as pl

from riskcast.core.errors import ContractBroken
from riskcast.lake.arrow import conform
from riskcast.tables import Column, Kind, Table
from riskcast.tables.silver import MARKET_DAILY
from riskcast.tables.spec import INGESTED_AT, KNOWN_AT


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing no row may do.

    Attributes
    ----------
    name : str
        What holds when the rule is kept, e.g. ``"vix is at most 200"``.
    broken : polars.Expr
        True on rows that break the rule; null counts as kept.
    columns : tuple of str
        Columns to show of the first row that breaks it, besides the key.
    """

    name: str
    broken: pl.Expr
    columns: tuple[str, ...]


# The published opens of an index equal the previous close until about then, so an estimator that
# used them would take every overnight return for zero.
INDEX_OPENS_SINCE = date(2010, 1, 1)
ROUNDING = 1e-6  # vendors adjust open, high, low and close one by one, each rounded

_bar = pl.col("price_basis").is_in(["adjusted", "raw+adj"])

TABLE_RULES: dict[str, tuple[Rule, ...]] = {
    MARKET_DAILY.name: (
        Rule(
            f"index bars before {INDEX_OPENS_SINCE} carry no open",
            (pl.col("price_basis") == "index")
            & (pl.col("date") < INDEX_OPENS_SINCE)
            & pl.col("open").is_not_null(),
            ("open", "price_basis"),
        ),
        Rule(
            "low is the lowest price of its bar",
            _bar & (pl.col("low") > pl.min_horizontal("open", "high", "close") * (1 + ROUNDING)),
            ("open", "high", "low", "close"),
        ),
        Rule(
            "high is the highest price of its bar",
            _bar & (pl.col("high") < pl.max_horizontal("open", "low", "close") * (1 - ROUNDING)),
            ("open", "high", "low", "close"),
        ),
    ),
}


def identity(table: Table) -> tuple[str, ...]:
    """Columns that no two stored rows share: the key, with vintages also known_at."""
    extra = (KNOWN_AT.name,) if table.vintages and KNOWN_AT.name not in table.key else ()
    return (*table.key, *extra)


@cache
def rules(table: Table) -> tuple[Rule, ...]:
    """Return every rule of the table: of each column, of the key, and its own."""
    unique = identity(table)
    return (
        *(rule for column in table.every_column for rule in _column_rules(table, column)),
        Rule(f"{' + '.join(unique)} is unique", pl.struct(unique).is_duplicated(), ()),
        *TABLE_RULES.get(table.name, ()),
    )


def check(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the declared shape, having checked every rule.

    Raises
    ------
    ContractBroken
        Naming the first rule broken, how many rows break it, and the first of them.
    """
    rows = conform(table, frame)
    every = rules(table)
    counts = rows.select(
        rule.broken.fill_null(value=False).sum().alias(str(i)) for i, rule in enumerate(every)
    ).row(0)
    for rule, count in zip(every, counts, strict=True):
        if count:
            raise ContractBroken(table.name, rule.name, _detail(table, rows, rule, count))
    return rows


def _detail(table: Table, rows: pl.DataFrame, rule: Rule, count: int) -> str:
    shown = dict.fromkeys((*identity(table), *rule.columns))
    first = rows.filter(rule.broken).select(list(shown)).row(0, named=True)
    values = " ".join(f"{name}={value}" for name, value in first.items())
    return f"{count} of {rows.height} rows, first {values}"


def _column_rules(table: Table, column: Column) -> Iterator[Rule]:
    name, value, shown = column.name, pl.col(column.name), (column.name,)
    if (not column.nullable or name in table.key) and column != INGESTED_AT:
        yield Rule(f"{name} is not null", value.is_null(), shown)
    if column.kind in (Kind.FLOATS, Kind.TEXTS):
        yield Rule(
            f"{name} holds no null", value.list.eval(pl.element().is_null()).list.any(), shown
        )
    if column.kind == Kind.FLOAT:
        # Unknown is null: a NaN would pass every comparison that follows.
        yield Rule(f"{name} is finite", ~value.is_finite(), shown)
    if column.kind == Kind.FLOATS:
        yield Rule(
            f"{name} holds finite values",
            value.list.eval(~pl.element().is_finite()).list.any(),
            shown,
        )
    if column.low is not None:
        lowest = value.list.min() if column.kind == Kind.FLOATS else value
        yield Rule(f"{name} is at least {column.low:g}", lowest < column.low, shown)
    if column.high is not None:
        highest = value.list.max() if column.kind == Kind.FLOATS else value
        yield Rule(f"{name} is at most {column.high:g}", highest > column.high, shown)
    if column.choices:
        yield Rule(
            f"{name} is one of {', '.join(column.choices)}",
            ~value.is_in(list(column.choices)),
            shown,
        )
