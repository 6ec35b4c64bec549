"""Forecast the sessions of a window with the champion and, unpublished in the API, its shadows."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import numpy as np
import polars as pl

from riskcast.core.errors import ArtifactRefused, FeatureMissing
from riskcast.core.window import Window
from riskcast.evaluation.design import real_values
from riskcast.jobs.lineage import environment_digest, git_sha, table_versions
from riskcast.lake import Lake
from riskcast.models.base import Forecasts
from riskcast.models.explain import sentence
from riskcast.models.served import ServedModel
from riskcast.pipelines import PIPELINES, ancestry
from riskcast.products import Product
from riskcast.registry import LoadedModel, Registry
from riskcast.tables import output

SLOT = "champion"
SHADOWS = ("challenger", "previous", "shadow")  # the last is a person's to give, never served
DRIVERS = 5
SESSIONS_A_YEAR = 252
log = logging.getLogger(__name__)


def forecast(
    features: pl.DataFrame,
    published: pl.DataFrame,
    *,
    product: Product,
    registry: Registry,
    lake: Lake,
    window: Window,
) -> pl.DataFrame:
    """Return the forecasts of the window, rows of `predictions_daily`.

    The champion forecasts, and so do the challenger, the previous champion and the version with
    the alias shadow, so that all are scored on the same sessions. Only sessions from a model's
    `fit_end` on are forecast, and a forecast that was published for a session stands. Before a
    first champion exists there is nothing to forecast with, and no row is returned.

    A shadow that cannot forecast is logged and left out: it must not keep the champion's forecast
    from those who wait for it.

    Raises
    ------
    FeatureMissing
        If a session lacks a value that the champion needs.
    """
    inside = (pl.col("known_at") > window.start) & (pl.col("known_at") <= window.end)
    standing = published.filter(inside)
    version = registry.alias(product.name, SLOT)
    if version is None:
        return standing
    fresh, rows = features.filter(inside).sort("date"), [standing]
    rows += _due(fresh, standing, SLOT, registry.load(product.name, version), product, lake)
    for role in SHADOWS:
        shadow = registry.alias(product.name, role)
        if shadow in (None, version):
            continue
        try:
            loaded = registry.load(product.name, shadow)
            rows += _due(fresh, standing, role, loaded, product, lake)
        except (ArtifactRefused, FeatureMissing) as error:
            log.warning("%s version %s made no forecast: %s", role, shadow, error)
    columns = rows[-1].columns
    return pl.concat([frame.select(columns) for frame in rows])


def _due(
    features: pl.DataFrame,
    standing: pl.DataFrame,
    role: str,
    loaded: LoadedModel,
    product: Product,
    lake: Lake,
) -> list[pl.DataFrame]:
    """Return the role's forecasts of the sessions that have none; an empty list if all have."""
    done = standing.filter(pl.col("slot") == role)["date"]
    due = features.filter(
        (pl.col("date") >= loaded.model.fit_end) & ~pl.col("date").is_in(done.implode())
    )
    if due.is_empty():
        return []
    made_from = ancestry(PIPELINES.values(), product.features)
    lineage = {
        "tables": table_versions(lake, (*made_from, product.labels)),
        "git_sha": git_sha(),
        "environment": environment_digest(),
        "digest": loaded.digest,
    }
    return [forecast_rows(due, loaded, lineage).with_columns(pl.lit(role).alias("slot"))]


def forecast_rows(due: pl.DataFrame, loaded: LoadedModel, lineage: dict[str, Any]) -> pl.DataFrame:
    """Return a row of `predictions_daily` for each row of features.

    One by one, as the API answers: the last bits of a matrix product depend on how many rows it
    has, and a forecast must not depend on what else was forecast with it.

    Raises
    ------
    FeatureMissing
        If a row lacks a value that the model needs.
    """
    single = (due.slice(i, 1) for i in range(due.height))
    return pl.concat([_rows(row, _apply(loaded.model, row), loaded, lineage) for row in single])


def _apply(model: ServedModel, rows: pl.DataFrame) -> Forecasts:
    thresholds = rows.select(model.thresholds).to_numpy().astype(np.float64)
    return model.forecast(real_values(rows, model.columns), thresholds)


def _rows(
    due: pl.DataFrame, made: Forecasts, loaded: LoadedModel, lineage: dict[str, Any]
) -> pl.DataFrame:
    rv = np.sqrt(made.variance)
    rows = []
    for i, row in enumerate(due.select("symbol", "date", "known_at").iter_rows(named=True)):
        effects = made.contributions[i, :-1]
        top = np.argsort(-np.abs(effects), kind="stable")[:DRIVERS]
        rows.append(
            {
                **row,
                "rv_5d_hat": rv[i],
                "rv_5d_annualised": rv[i] * math.sqrt(SESSIONS_A_YEAR / 5),
                **{
                    f"{end}_{level}": ends[i, j]
                    for level, ends in made.intervals.items()
                    for j, end in enumerate(("lo", "hi"))
                },
                "p_calm": made.regime_probs[i, 0],
                "p_transition": made.regime_probs[i, 1],
                "p_risk_off": made.regime_probs[i, 2],
                "top_drivers": [loaded.model.columns[j] for j in top],
                "driver_effects": [float(effects[j]) for j in top],
                "explanation": sentence(loaded.model.columns, made.contributions[i]),
                "model_version": str(loaded.version),
                "slot": SLOT,
                "lineage": json.dumps(lineage, sort_keys=True),
                "source": "derived",
            }
        )
    schema = {c.name for c in output.PREDICTIONS_DAILY.every_column} - {"ingested_at"}
    frame = pl.DataFrame(rows)
    return frame.select([name for name in frame.columns if name in schema])
