"""Feast objects from the declarations: a wide view per online table, a service per product.

A view reads the table's published Parquet and is stamped with `known_at`, not with the session:
joining on the session date would hand a model its row hours before the close.
"""

from __future__ import annotations

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

from riskcast.core.settings import Settings
from riskcast.online.config import published_folder
from riskcast.online.tables import (
    entity_columns,
    feature_columns,
    online_tables,
    service_columns,
    view_name,
)
from riskcast.products import PRODUCTS, Product
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


def feast_objects(settings: Settings) -> list[Entity | FeatureView | FeatureService]:
    """Return entities and views of every table with ``online=True``, services of the products."""
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
    views = {t.name: _view(t, entities, published_folder(settings, t)) for t in tables}
    services = [
        _service(product, views[product.features.name])
        for product in PRODUCTS.values()
        if product.features.online
    ]
    return [*entities.values(), *views.values(), *services]


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


def _service(product: Product, view: FeatureView) -> FeatureService:
    names = [column.name for column in service_columns(product)]
    return FeatureService(name=product.name, description=product.doc, features=[view[names]])
