"""Declarations to Polars types, and frames into the declared shape. Values are not judged here."""

from __future__ import annotations

import polars as pl

from riskcast.core.errors import ContractBroken
from riskcast.tables import Kind, Table
from riskcast.tables.spec import INGESTED_AT

DTYPES: dict[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.FLOAT: pl.Float64(),
    Kind.INT: pl.Int64(),
    Kind.BOOL: pl.Boolean(),
    Kind.DATE: pl.Date(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.TEXTS: pl.List(pl.String()),
    Kind.FLOATS: pl.List(pl.Float64()),
}


def schema(table: Table) -> pl.Schema:
    """Return the types of the table's columns, common ones last, in the order they are stored."""
    return pl.Schema({column.name: DTYPES[column.kind] for column in table.every_column})


def empty(table: Table) -> pl.DataFrame:
    """Return no rows, with every declared column."""
    return pl.DataFrame(schema=schema(table))


def conform(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the same rows with the declared columns, order and types.

    Nullable columns that are missing are filled with null, as is `ingested_at`, which the lake
    stamps. A column of another type is cast when no value changes by it (whole number to float,
    nanoseconds to microseconds, categorical to text, any time zone to UTC).

    Raises
    ------
    ContractBroken
        If a column is missing or undeclared, or a cast would lose something.
    """
    declared = schema(table)
    if extra := [name for name in frame.columns if name not in declared]:
        raise ContractBroken(table.name, "columns are declared", f"undeclared {', '.join(extra)}")
    optional = {column.name for column in table.columns if column.nullable} - set(table.key)
    optional.add(INGESTED_AT.name)
    absent = [name for name in declared if name not in frame.columns]
    if missing := [name for name in absent if name not in optional]:
        raise ContractBroken(table.name, "columns are complete", f"missing {', '.join(missing)}")
    if frame.schema == declared:
        return frame
    filled = frame.with_columns(pl.lit(None, declared[name]).alias(name) for name in absent)
    return filled.select(_cast(table, filled[name], dtype) for name, dtype in declared.items())


def _cast(table: Table, values: pl.Series, wanted: pl.DataType) -> pl.Series:
    given = values.dtype
    if given == wanted:
        return values
    rule = f"{values.name} is {wanted}"
    if not _same_family(given, wanted):
        raise ContractBroken(table.name, rule, f"offered {given} in {len(values)} rows")
    try:
        cast = values.cast(wanted)
    except pl.exceptions.InvalidOperationError as error:
        raise ContractBroken(table.name, rule, f"offered {given}: {error}") from error
    if given == pl.Null:
        return cast
    # Casting back must give the values offered: that is what lossless means.
    lost = ~cast.cast(given, strict=False).eq_missing(values)
    if lost.any():
        first = values.filter(lost)[0]
        raise ContractBroken(
            table.name,
            rule,
            f"offered {given}, {lost.sum()} of {len(values)} rows lose by the cast, first {first}",
        )
    return cast


def _same_family(given: pl.DataType, wanted: pl.DataType) -> bool:
    if given == pl.Null:
        return True
    if isinstance(wanted, pl.List):
        return isinstance(given, pl.List | pl.Array) and _same_family(_inner(given), _inner(wanted))
    if isinstance(wanted, pl.String):
        return isinstance(given, pl.Categorical | pl.Enum | pl.String)
    if isinstance(wanted, pl.Datetime):
        # An instant without a zone could be New York's or UTC's: five hours of look-ahead.
        return isinstance(given, pl.Datetime) and given.time_zone is not None
    if isinstance(wanted, pl.Float64 | pl.Int64):
        return given.is_numeric()
    return given == wanted


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    inner = dtype.inner
    return inner if isinstance(inner, pl.DataType) else inner()
