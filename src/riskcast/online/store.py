"""Feast: declarations in, newest published rows in, newest row out. Nothing else talks to it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

import polars as pl

from riskcast.core.errors import ContractBroken, FeatureMissing, StackError, TableMissing
from riskcast.core.s3 import is_s3, s3_options
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.online.base import FeatureRow
from riskcast.online.config import (
    PROJECT,
    config_values,
    published_folder,
    registry_path,
    write_config,
)
from riskcast.online.tables import (
    NUMERIC,
    entity_columns,
    feature_columns,
    online_tables,
    view_name,
)
from riskcast.tables import Table
from riskcast.tables.gold import FEATURES_DAILY


def repo_config(settings: Settings) -> Any:
    """Return Feast's RepoConfig for these settings."""
    from feast import RepoConfig

    # It warns that serving while materialising does nothing with a registry in a file; it does.
    logging.getLogger("feast.repo_config").setLevel(logging.ERROR)
    return RepoConfig(**config_values(settings))


def apply(settings: Settings) -> None:
    """Register entities, views and feature services; milliseconds when they are there.

    Raises
    ------
    StackError
        If the online store does not answer.
    """
    from riskcast.online.views import feast_objects

    with _answers(settings):
        write_config(settings)
        feature_store(settings).apply(feast_objects(settings))


def materialise(settings: Settings, window: Window) -> dict[str, int]:
    """Bring the newest row of each entity known by the window's end online.

    Only that row can ever be read, so only it is written, however long the window is. A row older
    than the one online is left out: a backfill of old days does not take the store back. A row
    known at the same instant replaces it where a value differs, so a corrected day arrives and a
    rerun writes nothing.

    Written with Feast's `write_to_online_store` rather than its `materialize`, which lets an older
    row replace a newer one (SQLite) or ignores a corrected one (Redis).

    Returns
    -------
    dict of table name to int
        Rows written.

    Raises
    ------
    TableMissing
        If an online table was never published.
    StackError
        If the online store does not answer.
    """
    store = feature_store(settings)
    written = {}
    for table in online_tables():
        newest = newest_published(settings, table, window.as_of)
        if not settings.redis:
            _refuse_fractions(table, newest)
        with _answers(settings):
            rows = newest.filter(_news(store, table, newest))
            written[table.name] = rows.height
            if rows.is_empty():
                continue
            view = store.get_feature_view(view_name(table))
            # Arrow-backed columns: plain pandas would turn integers with gaps into floats.
            frame = rows.to_pandas(use_pyarrow_extension_array=True)
            store.write_to_online_store(view.name, frame)
            known = rows["known_at"]
            store.registry.apply_materialization(view, PROJECT, known.min(), known.max())
    return written


def newest_published(settings: Settings, table: Table, as_of: datetime) -> pl.DataFrame:
    """Return the published row of each entity that was known last by `as_of`.

    Raises
    ------
    TableMissing
        If nothing is published.
    """
    keys = [column.name for column in entity_columns(table)]
    columns = [*keys, *(column.name for column in feature_columns(table)), "known_at"]
    folder = published_folder(settings, table)
    options = s3_options() if is_s3(folder) else None
    try:
        return (
            pl.scan_parquet(
                f"{folder}/**/*.parquet", hive_partitioning=False, storage_options=options
            )
            .select(columns)
            .filter(pl.col("known_at") <= as_of)
            .sort("known_at", table.time)
            .group_by(keys, maintain_order=True)
            .last()
            .collect()
        )
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        raise TableMissing(
            f"{table.name} is not readable in {folder}; run the publish step first: {error}"
        ) from error


class FeastFeatures:
    """Reads the newest row of a features table; safe to call from a background thread.

    Feast ignores a view's ttl when it reads online, so nothing is judged here: the row carries
    `known_at` and its reader decides what is stale.
    """

    def __init__(self, settings: Settings, table: Table = FEATURES_DAILY) -> None:
        self._settings, self._table = settings, table
        self._store: Any = None
        self._lock = Lock()  # one SQLite connection, one registry cache
        self._references = [f"{view_name(table)}:{c.name}" for c in feature_columns(table)]

    def latest(self, symbol: str) -> FeatureRow:
        """Return the newest row stored for `symbol`.

        Raises
        ------
        FeatureMissing
            If nothing is stored for the symbol.
        StackError
            If the store does not answer.
        """
        if not registry_path(self._settings).exists():
            raise FeatureMissing(self._nothing(symbol))
        with self._lock, _answers(self._settings):
            values, known_at = self._read(symbol)
        if known_at is None:
            raise FeatureMissing(self._nothing(symbol))
        return FeatureRow(
            symbol=symbol,
            session=date.fromisoformat(values[self._table.time]),
            known_at=known_at,
            values={
                column.name: values[column.name]
                for column in feature_columns(self._table)
                if column.kind in NUMERIC
            },
            simulated=tuple(values.get("simulated") or ()),
        )

    def _read(self, symbol: str) -> tuple[Mapping[str, Any], datetime | None]:
        from feast.errors import FeastObjectNotFoundException

        if self._store is None:
            self._store = feature_store(self._settings)
        try:
            return _online(self._store, self._references, [{"symbol": symbol}])[0]
        except FeastObjectNotFoundException:
            self._store.refresh_registry()  # applied after it was read here
        try:
            return _online(self._store, self._references, [{"symbol": symbol}])[0]
        except FeastObjectNotFoundException as error:
            raise FeatureMissing(self._nothing(symbol)) from error

    def _nothing(self, symbol: str) -> str:
        return (
            f"{self._table.name}: nothing is stored online for {symbol!r}; "
            "run the materialise step of market_daily"
        )


def feature_store(settings: Settings) -> Any:
    """Return Feast as it stands for these settings."""
    from feast import FeatureStore

    registry_path(settings).parent.mkdir(parents=True, exist_ok=True)
    return FeatureStore(config=repo_config(settings))


def _online(
    store: Any, references: list[str], entities: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], datetime | None]]:
    """Return values and event time of each entity; no event time where nothing is stored."""
    response = store.get_online_features(references, entities)
    columns = response.to_dict()
    # to_dict cuts event times to seconds, so they come from the message itself. The last result
    # is a feature: entity columns, which carry no time, are put first.
    times = response.proto.results[-1].event_timestamps
    return [
        (
            {name: column[i] for name, column in columns.items()},
            times[i].ToDatetime(UTC) if times[i].seconds else None,
        )
        for i in range(len(entities))
    ]


def _news(store: Any, table: Table, rows: pl.DataFrame) -> pl.Series:
    """Return for each row whether it is newer than the one online, or of its instant and other."""
    keys = [column.name for column in entity_columns(table)]
    entities = rows.select(keys).to_dicts()
    if not entities:
        return pl.Series(dtype=pl.Boolean)
    names = [column.name for column in feature_columns(table)]
    stored = _online(store, [f"{view_name(table)}:{name}" for name in names], entities)
    news = []
    for row, (values, at) in zip(rows.iter_rows(named=True), stored, strict=True):
        same = all(_as_read(row[name]) == _as_read(values[name]) for name in names)
        news.append(at is None or row["known_at"] > at or (row["known_at"] == at and not same))
    return pl.Series(news, dtype=pl.Boolean)


def _as_read(value: Any) -> Any:
    """Return a value as Feast gives it back: a date as text, nothing for an empty list."""
    if type(value) is date:
        return value.isoformat()
    return None if value == [] else value


def _refuse_fractions(table: Table, rows: pl.DataFrame) -> None:
    fractions = rows.filter(pl.col("known_at").dt.microsecond() != 0)
    if not fractions.is_empty():
        raise ContractBroken(
            table.name,
            "known_at is a whole second, all that Feast's SQLite store keeps",
            f"{fractions.height} rows, first {fractions['known_at'][0]}; set RISKCAST_REDIS",
        )


@contextmanager
def _answers(settings: Settings) -> Iterator[None]:
    """Name what went wrong with the store instead of its driver's error."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from redis import RedisError

    where = "Redis of RISKCAST_REDIS" if settings.redis else "the SQLite store"
    try:
        yield
    except (RedisError, sqlite3.Error) as error:
        raise StackError(f"online store: {where} does not answer: {error}") from error
    except OSError as error:
        raise StackError(
            f"online store: {registry_path(settings).parent} cannot be written: {error}"
        ) from error
    except DecodeError as error:
        raise StackError(
            f"{registry_path(settings)} is being rewritten or damaged; if it stays so, remove it "
            "and run the materialise step"
        ) from error
