"""Make a past session's features and forecasts again from what was known then, and compare.

Bronze is read as of the session's own instant, in the table versions that the forecast recorded;
silver and gold are made anew by the functions of the pipeline. Equal means to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from riskcast.core.errors import NoSuchSession
from riskcast.core.window import Window
from riskcast.jobs.forecast import forecast_rows
from riskcast.jobs.lineage import git_sha
from riskcast.lake import Lake
from riskcast.products import Product
from riskcast.regimes.daily import build_features
from riskcast.registry import LoadedModel, Registry
from riskcast.tables import Table
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, SESSIONS
from riskcast.tables.gold import REGIME_FITS
from riskcast.tables.output import PREDICTIONS_DAILY
from riskcast.transforms.macro import align_macro
from riskcast.transforms.market import curate_market

# Not what was foreseen but what the row says of its own making.
BOOKKEEPING = ("ingested_at", "lineage", "source")


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that came out otherwise than it was published."""

    table: str
    column: str
    published: object
    rebuilt: object


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    known_at : datetime
        The instant whose knowledge was used.
    compared : mapping of table name to number of values compared
    slots : tuple of str
        Roles whose forecasts were made again; none if none was published.
    notes : tuple of str
        What a difference may come from, or why something was not compared.
    """

    symbol: str
    session: date
    known_at: datetime
    compared: Mapping[str, int]
    slots: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differences


def replay(day: date, *, lake: Lake, registry: Registry, product: Product, asset: str) -> Replay:
    """Rebuild the features of `day`, and every forecast published for it.

    Raises
    ------
    NoSuchSession
        If no features were published for that day.
    ModelMissing, ArtifactRefused
        If a forecast's model can no longer be loaded.
    """
    published = _features(lake, product.features, asset, day)
    known_at = published["known_at"][0]
    own = (pl.col("symbol") == asset) & (pl.col("date") == day)
    forecasts = lake.read(PREDICTIONS_DAILY).filter(own).sort("slot")
    said = [json.loads(text) for text in forecasts["lineage"]]
    # Every slot of a session is forecast from the same features; the first one's record serves.
    rebuilt = rebuild_features(lake, asset, day, known_at, said[0]["tables"] if said else {})
    differences = list(_differences(product.features, published, rebuilt))
    compared = {product.features.name: rebuilt.width}
    for row, lineage in zip(forecasts.iter_slices(1), said, strict=True):
        loaded = registry.load(product.name, row["model_version"][0])
        differences += _forecast_differences(row, rebuilt, loaded, lineage)
    if said:
        compared[PREDICTIONS_DAILY.name] = forecasts.height * (forecasts.width - len(BOOKKEEPING))
    slots = tuple(forecasts["slot"])
    return Replay(asset, day, known_at, compared, slots, tuple(differences), tuple(_notes(said)))


def rebuild_features(
    lake: Lake, asset: str, day: date, known_at: datetime, versions: Mapping[str, int | None]
) -> pl.DataFrame:
    """Return the row of `features_daily` of a session, made from bronze as known at an instant.

    Parameters
    ----------
    versions : mapping of table name to version
        Versions to read; the newest of a table that is not named.
    """
    read = _reader(lake, known_at, versions)
    sessions = read(SESSIONS)
    market = curate_market(read(RAW_MARKET, all_vintages=True), sessions)
    macro = align_macro(read(RAW_MACRO, all_vintages=True), sessions)
    window = Window(known_at - timedelta(days=1), known_at)
    rows = build_features(market, macro, read(REGIME_FITS), asset=asset, window=window)
    return rows.filter(pl.col("date") == day)


def _reader(
    lake: Lake, known_at: datetime, versions: Mapping[str, int | None]
) -> Callable[..., pl.DataFrame]:
    def read(table: Table, *, all_vintages: bool = False) -> pl.DataFrame:
        version = versions.get(table.name)
        return lake.read(table, as_of=known_at, all_vintages=all_vintages, version=version)

    return read


def _features(lake: Lake, table: Table, asset: str, day: date) -> pl.DataFrame:
    every = lake.read(table).filter(pl.col("symbol") == asset)
    found = every.filter(pl.col("date") == day)
    if found.is_empty():
        days = every["date"].sort()
        span = f"there are those of {days[0]} to {days[-1]}" if len(days) else "there are none"
        raise NoSuchSession(f"no features of {asset} were published for {day}; {span}")
    return found


def _forecast_differences(
    published: pl.DataFrame, features: pl.DataFrame, loaded: LoadedModel, lineage: Mapping[str, Any]
) -> list[Difference]:
    table = PREDICTIONS_DAILY
    slot = published["slot"][0]
    found = []
    if loaded.digest != lineage["digest"]:
        found.append(Difference(table.name, "model digest", lineage["digest"], loaded.digest))
    if features.is_empty():
        return [*found, Difference(table.name, "row", "published", "cannot be made")]
    # What an earlier release did not publish yet cannot come out differently.
    unsaid = [c.name for c in table.columns if c.nullable and published[c.name][0] is None]
    rebuilt = forecast_rows(features, loaded, {}).with_columns(
        pl.lit(slot).alias("slot"), *(pl.lit(None).alias(name) for name in unsaid)
    )
    return [*found, *_differences(table, published, rebuilt)]


def _differences(
    table: Table, published: pl.DataFrame, rebuilt: pl.DataFrame
) -> Iterable[Difference]:
    if rebuilt.is_empty():
        yield Difference(table.name, "row", "published", "cannot be made")
        return
    for column in table.every_column:
        if column.name in BOOKKEEPING:
            continue
        before, after = (
            published[column.name],
            rebuilt[column.name].cast(published[column.name].dtype),
        )
        if not before.equals(after, null_equal=True):
            yield Difference(table.name, column.name, before.to_list()[0], after.to_list()[0])


def _notes(said: list[dict[str, Any]]) -> Iterable[str]:
    if not said:
        yield "no forecast was published for the session: features only, in the newest versions"
    for lineage in said:
        made_by = lineage.get("git_sha", "unknown")
        if made_by != git_sha():
            yield f"forecast by code {made_by}, replayed by {git_sha()}"
