"""Feast objects generated from the table declarations: one wide view per online table.

A view reads the table's published Parquet and is stamped with `known_at`, not with the session:
joining on the session date would hand a model its row hours before the close.
"""

from __future__ import annotations

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

from riskcast.core.settings import Settings
from riskcast.online.config import published_folder
from riskcast.online.tables import entity_columns, feature_columns, online_tables, view_name
from riskcast.tables import Kind, Table

# A date travels as ISO text: Feast has no date type, and its timestamps refuse Parquet dates.
TYPES = {
    Kind.TEXT: String,
    Kind.FLOAT: Float64,
    Kind.INT: Int64,
    Kind.BOOL: Bool,
    Kind.DATE: String,
    Kind.INSTANT: UnixTimestamp,
    Kind.TEXTS: Array(String),
    Kind.FLOATS: Array(Float64),
}


def feast_objects(settings: Settings) -> list[Entity | FeatureView]:
    """Return the entities and views of every table with ``online=True``."""
    tables = online_tables()
    entities = {
        column.name: Entity(
            name=column.name,
            join_keys=[column.name],
            value_type=ValueType.STRING,
            description=column.doc,
        )
        for table in tables
        for column in entity_columns(table)
    }
    views = [_view(table, entities, published_folder(settings, table)) for table in tables]
    return [*entities.values(), *views]


def _view(table: Table, entities: dict[str, Entity], folder: str) -> FeatureView:
    keys = entity_columns(table)
    return FeatureView(
        name=view_name(table),
        description=table.doc,
        entities=[entities[column.name] for column in keys],
        ttl=table.fresh,
        online=True,
        schema=[
            Field(name=column.name, dtype=TYPES[column.kind], description=column.doc)
            for column in (*keys, *feature_columns(table))
        ],
        source=FileSource(
            name=f"{view_name(table)}_published",
            path=folder,
            timestamp_field="known_at",
        ),
    )
