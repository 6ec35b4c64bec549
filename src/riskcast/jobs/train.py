"""From walk-forward losses to a champion: judge, register, promote."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from riskcast.core.errors import GateRefused
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.final import fit_served
from riskcast.evaluation.gate import Verdict, check_refit, decide
from riskcast.evaluation.walk_forward import SEED
from riskcast.jobs.deploy import deploy_newest
from riskcast.jobs.evaluate import EVALUATION, design_of
from riskcast.jobs.lineage import environment_digest, git_sha, table_versions
from riskcast.jobs.report import gather, render
from riskcast.lake import Lake
from riskcast.models.base import Design
from riskcast.models.served import ServedModel
from riskcast.products import Product
from riskcast.registry import CHAMPION, LoadedModel, Registry
from riskcast.rollout import open_machine
from riskcast.rollout.golden import record as record_golden

LAST_SESSIONS = 60  # a refit is compared with the champion on these
GOLDEN_SESSIONS = 250  # golden requests are spread over these


def gate(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    losses: pl.DataFrame,
    decisions: pl.DataFrame,
    *,
    product: Product,
    registry: Registry,
    window: Window,
) -> pl.DataFrame:
    """Judge the recipe as of the window's end, one row of `decisions`.

    A verdict stands: judging the same recipe as of the same instant again returns it. A refusal
    is a verdict like any other; the next step is the one that fails on it.
    """
    design, recipe = design_of(product, features, labels)
    standing = _decision(decisions, recipe, window.as_of)
    if not standing.is_empty():
        return standing
    record = walked(losses, recipe.name, recipe.recipe)
    verdict = _judge(features, design, losses, record, recipe, registry)
    return pl.DataFrame(
        [
            {
                "product": recipe.name,
                "as_of": window.as_of,
                "candidate": recipe.pool_name,
                "recipe": recipe.recipe,
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "figures": json.dumps(verdict.figures, sort_keys=True),
                "known_at": window.as_of,
                "source": "derived",
            }
        ],
        schema_overrides={"as_of": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")},
    )


def register(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    losses: pl.DataFrame,
    decisions: pl.DataFrame,
    *,
    product: Product,
    registry: Registry,
    lake: Lake,
    window: Window,
    settings: Settings,
) -> None:
    """Fit the recipe on all that is known, register it and, if the gate lets it, roll it out.

    The same recipe as of the same instant is registered once, and a backfill never replaces a
    champion that knows more. A refused candidate is registered too, with the reason: somebody may
    override the verdict in the registry.

    Raises
    ------
    GateRefused
        If the verdict is to refuse; the champion stays.
    RolloutAborted
        If a server did not answer as it should; the champion stays.
    """
    design, recipe = design_of(product, features, labels)
    decision = _decision(decisions, recipe, window.as_of).row(0, named=True)
    as_of = window.as_of.isoformat()
    same = {"recipe": recipe.recipe, "as_of": as_of}
    found = [v for v in registry.versions(recipe.name) if same.items() <= v.tags.items()]
    if not found:
        record = walked(losses, recipe.name, recipe.recipe)
        model = fit(recipe, design, record)
        lineage = {
            "tables": table_versions(lake, (recipe.features, recipe.labels)),
            "git_sha": git_sha(),
            "environment": environment_digest(),
            "source": settings.source,
        }
        figures = json.loads(decision["figures"])
        registry.register(
            recipe.name,
            model,
            metrics=figures,
            params=_params(recipe),
            lineage=lineage,
            tags={
                **same,
                "git_sha": git_sha(),
                "verdict": decision["verdict"],
                "reason": decision["reason"],
                "asset": settings.asset_symbol,
                "qlike": f"{figures['qlike']:.4f}" if "qlike" in figures else "refit",
            },
            artifacts={"skill.html": _report(record, features, recipe, design)},
            golden=_golden(model, design, features),
        )
    if decision["verdict"] != "promote":
        raise GateRefused(
            f"{recipe.name} {recipe.pool_name} ({recipe.recipe}): {decision['reason']}; "
            "the champion stays. Every figure is in the table decisions"
        )
    deploy_newest(open_machine(settings, recipe.name, registry, lake), registry)


def fit(recipe: Product, design: Design, record: pl.DataFrame) -> ServedModel:
    """Fit the recipe at the newest known label, calibrated on its own walk-forward record."""
    return fit_served(recipe, design, record, seed=SEED)


def walked(losses: pl.DataFrame, product: str, recipe: str) -> pl.DataFrame:
    """Return the walk-forward record of a recipe from the table of losses."""
    mine = (
        (pl.col("product") == product)
        & (pl.col("evaluation") == EVALUATION)
        & (pl.col("recipe") == recipe)
    )
    return losses.filter(mine).select(
        "model",
        "date",
        pl.col("known_at").dt.date().alias("known"),
        "variance_hat",
        "variance",
    )


def _decision(decisions: pl.DataFrame, recipe: Product, as_of: datetime) -> pl.DataFrame:
    return decisions.filter(
        (pl.col("product") == recipe.name)
        & (pl.col("as_of") == as_of)
        & (pl.col("recipe") == recipe.recipe)
    )


def _judge(
    features: pl.DataFrame,
    design: Design,
    losses: pl.DataFrame,
    record: pl.DataFrame,
    recipe: Product,
    registry: Registry,
) -> Verdict:
    version = registry.alias(recipe.name, CHAMPION)
    if version is None:
        return decide(record, features, recipe)
    champion = registry.load(recipe.name, version)
    if champion.model.recipe != recipe.recipe:
        rival = walked(losses, recipe.name, champion.model.recipe)
        return decide(record, features, recipe, champion=rival)
    return _judge_refit(features, design, record, recipe, champion)


def _judge_refit(
    features: pl.DataFrame,
    design: Design,
    record: pl.DataFrame,
    recipe: Product,
    champion: LoadedModel,
) -> Verdict:
    model = fit(recipe, design, record)
    recent = design.take(model.columns).rows(slice(-LAST_SESSIONS, None))
    thresholds = features.sort("date").tail(LAST_SESSIONS).select(model.thresholds).to_numpy()
    return check_refit(model, champion.model, recent.x, thresholds)


def _golden(model: ServedModel, design: Design, features: pl.DataFrame) -> list[dict[str, object]]:
    recent = design.take(model.columns).rows(slice(-GOLDEN_SESSIONS, None))
    bounds = features.sort("date").select("date", *model.thresholds)
    aligned = pl.DataFrame({"date": recent.dates}).join(bounds, on="date", how="left")
    return record_golden(model, recent.x, aligned.select(model.thresholds).to_numpy())


def _report(record: pl.DataFrame, features: pl.DataFrame, recipe: Product, design: Design) -> bytes:
    return render(gather(record, features, recipe, design=design)).encode()


def _params(recipe: Product) -> dict[str, object]:
    said: dict[str, object] = {
        "pool": ",".join(recipe.pool),
        "benchmark": recipe.benchmark,
        "horizon": recipe.horizon,
        "seed": SEED,
        "refit_every": recipe.scheme.refit_every,
    }
    for name in recipe.pool:
        candidate = recipe.candidate(name)
        said[f"{name}.columns"] = len(candidate.columns)
        said |= {f"{name}.{key}": value for key, value in candidate.params.items()}
    return said
