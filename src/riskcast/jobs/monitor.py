"""After each session: score what was forecast, check what is watched, decide what follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.losses import with_losses
from riskcast.evaluation.walk_forward import candidate_path, schedule
from riskcast.features.daily import build_features
from riskcast.lake.rows import inside
from riskcast.models.base import Design
from riskcast.monitoring import series
from riskcast.monitoring.findings import ALARM, OK, Finding, health_rows
from riskcast.monitoring.freshness import freshness
from riskcast.monitoring.realised import live_losses, realised, skill
from riskcast.monitoring.response import Brake, decide
from riskcast.monitoring.skew import skew
from riskcast.monitoring.watch import Live, guard
from riskcast.products import Product

CHAMPION = "champion"
UNSOUND = ("freshness", "missing", "skew")


def score(
    features: pl.DataFrame, labels: pl.DataFrame, predictions: pl.DataFrame, *, product: Product
) -> pl.DataFrame:
    """Return the losses of all forecasts whose outcome is known, rows of `losses`.

    Champion, challenger and previous champion are scored on the same sessions; beside them stands
    the benchmark, forecast walk-forward for the sessions that were published.
    """
    roles = live_losses(predictions, labels, product)
    if roles.is_empty():
        return roles
    design = build_design(features, labels, needed_columns(product))
    recipe = effective(product, design)
    days = roles.select("symbol", "date", "variance", "known_at").unique("date", keep="first")
    made = days.join(_benchmark(recipe, design), on="date", how="inner").select(
        pl.lit(product.name).alias("product"),
        pl.lit("live").alias("evaluation"),
        pl.lit(recipe.recipe).alias("recipe"),
        pl.lit(recipe.benchmark).alias("model"),
        "symbol",
        "date",
        "variance_hat",
        "variance",
        "known_at",
        pl.lit("derived").alias("source"),
    )
    scored = with_losses(made)
    return pl.concat([roles, scored.select(roles.columns)])


def _benchmark(recipe: Product, design: Design) -> pl.DataFrame:
    """Return date and variance_hat of the benchmark, each as it would have been made that day."""
    with ThreadPoolExecutor(1) as workers:
        path, _ = candidate_path(
            recipe.candidate(recipe.benchmark),
            design,
            schedule(recipe, design),
            offset=None,
            workers=workers,
        )
    made = ~np.isnan(path.log_h)
    return pl.DataFrame({"date": design.dates[made], "variance_hat": np.exp(path.log_h[made])})


def check(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    predictions: pl.DataFrame,
    losses: pl.DataFrame,
    decisions: pl.DataFrame,
    health: pl.DataFrame,
    market: pl.DataFrame,
    macro: pl.DataFrame,
    *,
    product: Product,
    settings: Settings,
    window: Window,
    asset: str,
) -> pl.DataFrame:
    """Return what was found at each session of the window, rows of `health`.

    Every finding is as of its session, so a backfill finds what the runs on the day found.
    """
    features = features.sort("date")
    sessions = features["known_at"].to_list()
    # Once each: a session whose file came late is known together with the one after it.
    due = features.filter(inside(window))["known_at"].unique().sort().to_list()
    found = list(freshness(features, labels, predictions, due, window, product))
    try:
        design = build_design(features, labels, needed_columns(product))
        recipe = effective(product, design)
    except NotEnoughHistory as error:
        found.append(Finding("drift", "all", window.end, None, None, OK, str(error)))
        return health_rows(product.name, found)
    if due:
        pooled = tuple(dict.fromkeys(c for m in recipe.pool for c in recipe.candidate(m).columns))
        rebuilt = build_features(market, macro, asset=asset)
        found += skew(features, rebuilt.select("date", *pooled), pooled, due)
    found += series.watch(features, labels, losses, recipe, due, settings)
    live = Live.of(losses, recipe)
    for at in due:
        found += _live(predictions, labels, losses, decisions, live, at, recipe, settings)
    found += _follow(found, health, sessions, window, settings)
    return health_rows(product.name, found)


def _live(
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    losses: pl.DataFrame,
    decisions: pl.DataFrame,
    live: Live,
    at: datetime,
    recipe: Product,
    settings: Settings,
) -> Iterator[Finding]:
    """Find how the champion's published forecasts turned out by `at`."""
    known = pl.col("known_at") <= at
    rows = realised(predictions.filter(known), labels.filter(known), CHAMPION)
    if rows.is_empty():
        return
    record = losses.filter(
        known & (pl.col("evaluation") == "walk_forward") & (pl.col("model") == recipe.pool_name)
    ).filter(pl.col("recipe") == pl.col("recipe").last())
    if record.height:
        yield from skill(
            rows,
            record,
            at=at,
            role=CHAMPION,
            coverage=recipe.gate.coverage,
            promised=_promised(decisions.filter(known)),
            worse_rmse=float(settings.limit_rmse),
        )
    yield guard(live, at)


def _promised(decisions: pl.DataFrame) -> dict[str, float]:
    """Return the figures of the newest decision that has a Brier score; a refit's has none."""
    for text in reversed(decisions.sort("as_of")["figures"].to_list()):
        figures: dict[str, float] = json.loads(text)
        if "brier" in figures:
            return figures
    return {}


def _follow(
    found: Iterable[Finding],
    health: pl.DataFrame,
    sessions: list[datetime],
    window: Window,
    settings: Settings,
) -> list[Finding]:
    """Return what follows from the alarms, held back by cool-down and budget.

    Data that are stale, missing or not what the bars give may drift for that reason alone, and
    nothing good is fitted to them: no retraining on such a session.
    """
    found = list(found)
    unsound = {f.at for f in found if f.check in UNSOUND and f.verdict == ALARM}
    earlier = health.filter(pl.col("at") <= window.start, pl.col("verdict") == ALARM)
    brake = Brake(int(settings.cool_down), int(settings.retrains))
    made = []
    for check_, action in (("drift", "retrain"), ("guardrail", "rollback")):
        causes = {
            f.at: f
            for f in found
            if f.check == check_
            and f.verdict == ALARM
            and (check_ != "drift" or (f.subject == "all" and f.at not in unsound))
        }
        before = earlier.filter(pl.col("check") == action)["at"].to_list()
        for at in decide(causes, sessions, before, brake):
            why = f"{action}: {causes[at].why}"
            made.append(Finding(action, causes[at].subject, at, causes[at].value, None, ALARM, why))
    return made
