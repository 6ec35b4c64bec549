"""What each candidate would have forecast on every day of the past, and what it lost by it.

Candidates need nothing of each other, so that Airflow walks them side by side, on machines of their
own where there are any; what they forecast is joined to pools and scored once all are there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from riskcast.core.errors import TableMissing
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.losses import with_losses
from riskcast.evaluation.walk_forward import Path, candidate_paths, folds_of, record_of
from riskcast.lake.arrow import empty
from riskcast.models.base import Design
from riskcast.products import Product
from riskcast.tables.output import CANDIDATE_FORECASTS

EVALUATION = "walk_forward"


def walk(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    product: Product,
    settings: Settings,
    window: Window,
    progress: Callable[[str, int, int], None],
    members: tuple[str, ...],
) -> pl.DataFrame:
    """Return the forecasts of the candidates named along time, rows of `candidate_forecasts`.

    Each is as it would have been made at the close of its session, which is when it was known.
    No rows of a candidate whose columns the data at hand do not have.
    """
    design, recipe = design_of(product, features, labels)
    there = tuple(c.name for c in recipe.candidates if c.name in members)
    if not there:
        return empty(CANDIDATE_FORECASTS).drop("ingested_at")
    paths, _ = candidate_paths(recipe, design, there, cores=int(settings.cores), progress=progress)
    forecasts = []
    for name, path in paths.items():
        rows = slice(folds_of(recipe, design, name)[0].start, None)
        said = {"log_h": path.log_h[rows], "fit_end": path.fit_end[rows]}
        frame = pl.DataFrame({"date": design.dates[rows], **said})
        forecasts.append(frame.with_columns(model=pl.lit(name)))
    known = features.select("symbol", "date", "known_at")
    return (
        pl.concat(forecasts)
        .join(known, on="date")
        .select(
            pl.lit(recipe.name).alias("product"),
            pl.lit(recipe.recipe).alias("recipe"),
            "model",
            "symbol",
            "date",
            pl.lit(window.as_of).alias("as_of"),
            pl.col("log_h").fill_nan(None),
            "fit_end",
            "known_at",
            pl.lit("derived").alias("source"),
        )
    )


def evaluate(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    forecasts: pl.DataFrame,
    *,
    product: Product,
    window: Window,
) -> pl.DataFrame:
    """Return the loss of every model on every session, rows of `losses`.

    Each forecast is as it would have been made on its day; `known_at` is when its label matured.

    Raises
    ------
    TableMissing
        If a candidate was not walked with the knowledge of the window's end.
    LookAhead
        If a forecast rests on a session after its own.
    """
    design, recipe = design_of(product, features, labels)
    mine = forecasts.filter(product=recipe.name, recipe=recipe.recipe, as_of=window.as_of)
    paths = {c.name: _path(c.name, mine, recipe, design, window) for c in recipe.candidates}
    matured = labels.select("symbol", "date", "known_at")
    return (
        with_losses(record_of(recipe, design, paths))
        .join(matured, on="date", how="inner")
        .select(
            pl.lit(product.name).alias("product"),
            pl.lit(EVALUATION).alias("evaluation"),
            pl.lit(recipe.recipe).alias("recipe"),
            "model",
            "symbol",
            "date",
            "variance_hat",
            "variance",
            "qlike",
            "sq_error",
            "known_at",
            pl.lit("derived").alias("source"),
        )
    )


def design_of(
    product: Product, features: pl.DataFrame, labels: pl.DataFrame
) -> tuple[Design, Product]:
    """Return the design of all the product reads, and the product as the data at hand allows it."""
    design = build_design(features, labels, needed_columns(product))
    return design, effective(product, design)


def _path(
    name: str, forecasts: pl.DataFrame, recipe: Product, design: Design, window: Window
) -> Path:
    """Return a candidate's forecasts as `walk` had them, to the bit."""
    rows = slice(folds_of(recipe, design, name)[0].start, None)
    found = forecasts.filter(model=name).sort("date")
    if not np.array_equal(found["date"].to_numpy().astype("datetime64[D]"), design.dates[rows]):
        raise TableMissing(
            f"{CANDIDATE_FORECASTS.name} has {found.height} of the {len(design.dates[rows])} "
            f"forecasts of {name} as of {window.as_of.isoformat()}; run the step walk of its "
            f"pipeline for the same window, with --member {name}"
        )
    path = Path.never(len(design.dates))
    path.log_h[rows] = found["log_h"].fill_null(np.nan).to_numpy()
    path.fit_end[rows] = found["fit_end"].to_numpy().astype("datetime64[D]")
    path.check(design.dates)
    return path
