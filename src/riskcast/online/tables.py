"""What of a table goes online. Imports no Feast, which takes seconds."""

from __future__ import annotations

from riskcast.tables import TABLES, Column, Table


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
