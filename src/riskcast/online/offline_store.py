"""Feast's historical retrieval as one sorted as-of join.

Feast's own store for files pairs every instant asked for with every row of its entity before it
filters: thirty years of one symbol asked at each of its sessions are sixty million pairs, 31 GB.
Everything else is Feast's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pandas as pd
import polars as pl
import pyarrow as pa
from feast import FeatureView
from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig
from feast.infra.offline_stores.offline_store import RetrievalJob

from riskcast.core.errors import TableMissing
from riskcast.core.s3 import is_s3, s3_options

ASKED_AT = "event_timestamp"  # Feast's name for the instant that an entity is asked at
INSTANT = pl.Datetime("us", "UTC")


class AsOfOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]
    """Found by Feast under the name of the store."""

    type: Literal["riskcast.online.offline_store.AsOfOfflineStore"] = (
        "riskcast.online.offline_store.AsOfOfflineStore"
    )


class AsOfOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """Named in the configuration; Feast makes it."""

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        **options: Any,
    ) -> RetrievalJob:
        """Return for each row of `entity_df` the features of its entity known last by its instant.

        Rows keep their order. A feature is null where nothing was known, or nothing younger than
        the view's ttl. Without `entity_df` the call is left to Feast's own store.
        """
        if not isinstance(entity_df, pd.DataFrame):
            return DaskOfflineStore.get_historical_features(
                config,
                feature_views,
                feature_refs,
                entity_df,
                registry,
                project,
                full_feature_names,
                **options,
            )
        asked = pl.from_pandas(entity_df).with_columns(pl.col(ASKED_AT).cast(INSTANT))

        def retrieve() -> pl.DataFrame:
            joined = asked
            for view in feature_views:
                names = _names(view, feature_refs, full=full_feature_names)
                joined = _joined(joined, view, names)
            return joined

        return AsOfRetrieval(retrieve, full_feature_names=full_feature_names)


class AsOfRetrieval(RetrievalJob):  # type: ignore[misc]
    """A join that is made when its rows are asked for."""

    def __init__(self, retrieve: Callable[[], pl.DataFrame], *, full_feature_names: bool) -> None:
        self._retrieve, self._full = retrieve, full_feature_names

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        return self._retrieve().to_arrow()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:  # noqa: ARG002
        return self._retrieve().to_pandas()

    @property
    def full_feature_names(self) -> bool:
        return self._full

    @property
    def on_demand_feature_views(self) -> list[Any]:
        return []


def as_of_join(
    asked: pl.DataFrame, rows: pl.DataFrame, *, keys: list[str], known: str, ttl: timedelta | None
) -> pl.DataFrame:
    """Return `asked` with the columns of the row of the same keys that was known last by then.

    Parameters
    ----------
    asked : DataFrame
        `keys` and ``event_timestamp``, UTC, in any order, which is kept.
    rows : DataFrame
        `keys`, the instant column `known`, and what is asked for. Of rows known at one instant
        the last counts.
    ttl : timedelta, optional
        Age at the instant asked beyond which a row counts as unknown.
    """
    place = "__place"
    return (
        asked.with_row_index(place)
        .sort(ASKED_AT)
        .join_asof(
            rows.sort(known, maintain_order=True),
            left_on=ASKED_AT,
            right_on=known,
            by=keys,
            strategy="backward",
            tolerance=ttl or None,
            check_sortedness=False,  # both are sorted, which it cannot see with `by`
        )
        .sort(place)
        .drop(place, *({known} - {ASKED_AT, *asked.columns}))
    )


def _names(view: FeatureView, references: list[str], *, full: bool) -> dict[str, str]:
    """Return the features asked of a view, each with its name in the answer."""
    own = view.projection.name_to_use()
    pairs = (reference.split(":", 1) for reference in references)
    features = [feature for name, feature in pairs if name == own]
    return {feature: f"{own}__{feature}" if full else feature for feature in features}


def _joined(asked: pl.DataFrame, view: FeatureView, names: dict[str, str]) -> pl.DataFrame:
    source, keys = view.batch_source, list(view.join_keys)
    known = source.timestamp_field
    options = s3_options() if is_s3(source.path) else None
    try:
        rows = (
            pl.scan_parquet(
                f"{source.path}/**/*.parquet", hive_partitioning=False, storage_options=options
            )
            .select(*keys, pl.col(known).cast(INSTANT), *names)
            .collect()
        )
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        raise TableMissing(
            f"{view.name} is not readable in {source.path}; run the publish step first: {error}"
        ) from error
    return as_of_join(asked, rows.rename(names), keys=keys, known=known, ttl=view.ttl)
