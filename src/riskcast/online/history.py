"""What training reads: each session's features as Feast finds them at the session's own instant."""

from __future__ import annotations

import polars as pl

from riskcast.core.errors import ContractBroken
from riskcast.core.settings import Settings
from riskcast.online import store
from riskcast.online.tables import entity_columns, service_columns
from riskcast.products import Product


def historical(settings: Settings, product: Product, asked: pl.DataFrame) -> pl.DataFrame:
    """Return the product's feature service at each entity and instant of `asked`.

    Parameters
    ----------
    asked : DataFrame
        The entity columns of the product's features and ``known_at``, a UTC instant each.

    Returns
    -------
    DataFrame
        `asked` in its order, with the columns of the service: of each entity those known last by
        its instant and no older than the table's ``fresh``, null where there are none.

    Raises
    ------
    TableMissing
        If the table was never published.
    """
    at = "event_timestamp"
    entities = asked.rename({"known_at": at}).to_pandas()
    store.apply(settings)
    feast = store.feature_store(settings)
    job = feast.get_historical_features(
        entity_df=entities, features=feast.get_feature_service(product.name)
    )
    found = pl.DataFrame(pl.from_arrow(job.to_arrow()))
    return found.rename({at: "known_at"})


def training_rows(settings: Settings, product: Product, known: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the features table with the product's columns as Feast retrieves them.

    Parameters
    ----------
    known : DataFrame
        The rows that the lake knows as of the instant of training; what is published beyond them
        is never seen. Columns that are not in the service stay as they are.

    Raises
    ------
    ContractBroken
        If a value is not the lake's: what was published is not what the lake's versions, which
        the model's lineage names, hold.
    TableMissing
        If the table was never published.
    """
    table = product.features
    keys = [column.name for column in entity_columns(table)]
    names = [column.name for column in service_columns(product)]
    found = historical(settings, product, known.select(*keys, "known_at"))
    found = found.select(pl.col(name).cast(known.schema[name]) for name in names)
    unequal = pl.any_horizontal(
        pl.lit(known[name].ne_missing(found[name])).alias(name) for name in names
    )
    # Sessions whose file came late are known together with the one after them, and at an instant
    # Feast knows the newest only. The others cannot be asked for, so they are the lake's.
    newest = (
        known[table.time] == known.select(pl.col(table.time).max().over(*keys, "known_at"))[:, 0]
    )
    different = known.filter(unequal & newest)
    if not different.is_empty():
        raise ContractBroken(
            table.name,
            "training reads what is published, and it is what the lake knows",
            f"{different.height} of {known.height} rows differ, first "
            f"{min(different[table.time].to_list())}; run the publish step of market_daily",
        )
    return known.with_columns(
        pl.when(newest).then(found[name]).otherwise(known[name]).alias(name) for name in names
    )
