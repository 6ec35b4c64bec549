"""What of a table goes online. Imports no Feast, which takes seconds."""

from __future__ import annotations

from riskcast.products import Product
from riskcast.tables import TABLES, Column, Kind, Table

NUMERIC = (Kind.FLOAT, Kind.INT)


def online_tables() -> tuple[Table, ...]:
    """Return the tables declared with ``online=True``."""
    return tuple(table for table in TABLES.values() if table.online)


def view_name(table: Table) -> str:
    """Return the table's name as Feast allows it."""
    return table.name.replace(".", "_")


def entity_columns(table: Table) -> tuple[Column, ...]:
    """Return the key without the time: what the newest row is looked up by."""
    return tuple(table.column(name) for name in table.key if name != table.time)


def feature_columns(table: Table) -> tuple[Column, ...]:
    """Return every own column that is no entity, the session date included."""
    keys = {column.name for column in entity_columns(table)}
    return tuple(column for column in table.columns if column.name not in keys)


def service_columns(product: Product) -> tuple[Column, ...]:
    """Return what a product reads of its features: its inputs, the session, and every note.

    The notes are the columns that are no number, such as which symbols are simulated.
    """
    asked = set(product.columns)
    return tuple(
        column
        for column in feature_columns(product.features)
        if column.name in asked or column.kind not in NUMERIC
    )
