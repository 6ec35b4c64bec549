"""The skill report: one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from html import escape
from pathlib import Path

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation import attribution, diagnostics, intervals, regimes, rivals
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.scores import gain, score
from riskcast.evaluation.walk_forward import SEED, walk_forward
from riskcast.jobs import figures
from riskcast.jobs.report_page import PAGE, plot, table_of
from riskcast.models.base import Design
from riskcast.models.calibration import LEVELS
from riskcast.models.explain import sentence
from riskcast.models.regime_logits import classes
from riskcast.products import Product
from riskcast.regimes.describe import compare_methods, describe_states

Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a report rests on.

    Attributes
    ----------
    record : DataFrame
        Walk-forward record of an effective product, from the first session reported.
    published : DataFrame
        `intervals.calibrated` of the same sessions.
    features : DataFrame
        ``features_daily``; states are described if its regime columns are filled.
    definitions : mapping of definition to scores
        `regimes.summary` of each definition.
    effects : DataFrame
        `attribution.yearly_effects`; may be empty.
    rival_states : DataFrame
        `compare_methods`; may be empty.
    rival_regimes, rival_intervals : mapping of name to scores
        What else was tried beside what is published (`evaluation.rivals`); may be empty.
    """

    product: Product
    record: pl.DataFrame
    published: pl.DataFrame
    features: pl.DataFrame
    definitions: Scores
    effects: pl.DataFrame = field(default_factory=pl.DataFrame)
    rival_states: pl.DataFrame = field(default_factory=pl.DataFrame)
    rival_regimes: Scores = field(default_factory=dict)
    rival_intervals: Scores = field(default_factory=dict)


def gather(
    record: pl.DataFrame,
    features: pl.DataFrame,
    product: Product,
    *,
    design: Design | None = None,
    start: date | None = None,
) -> Evidence:
    """Collect what a report needs from a walk-forward record of an effective product.

    Parameters
    ----------
    design : Design, optional
        Of the walk-forward; with it forecasts are explained, which takes a fit a year.
    start : date, optional
        First session reported; what came before still calibrates.
    """
    since = pl.lit(value=True) if start is None else pl.col("date") >= start
    published = intervals.calibrated(record, features, product).filter(since)
    scored = {}
    for name in regimes.known_definitions(product, features):
        other = product.with_regimes(name)
        same = other.thresholds == product.thresholds
        made = published if same else intervals.calibrated(record, features, other).filter(since)
        scored[name] = regimes.summary(made)
    shown = record.filter(since)
    told = pl.DataFrame()
    if design is not None:
        told = attribution.yearly_effects(product, design, shown)
    return Evidence(product, shown, published, features, scored, told)


def with_rivals(evidence: Evidence, record: pl.DataFrame) -> Evidence:
    """Return the evidence with scores of the rivals, whose fits take a minute.

    `record` is the whole walk-forward record: rivals learn from what came before the report.
    """
    start, _ = _span(evidence.record)
    features, product = evidence.features, evidence.product
    return replace(
        evidence,
        rival_states=compare_methods(features, k=len(figures.CLASSES), seed=SEED),
        rival_regimes=_if_old_enough(rivals.regime_scores, record, features, product, start),
        rival_intervals=_if_old_enough(rivals.interval_scores, record, features, product, start),
    )


def _if_old_enough(
    scores: Callable[..., Scores],
    record: pl.DataFrame,
    features: pl.DataFrame,
    product: Product,
    start: date,
) -> Scores:
    # Rivals learn from more outcomes than what is published needs; a young record has no rival.
    try:
        return scores(record, features, product, start=start)
    except NotEnoughHistory:
        return {}


def render(evidence: Evidence) -> str:
    """Return the page; nothing in it is loaded from elsewhere."""
    first, last = _span(evidence.record)
    title = f"{evidence.product.name}: out-of-sample skill, {first} to {last}"
    sections = [
        _skill(evidence),
        _along_time(evidence),
        _regimes(evidence),
        _intervals(evidence),
        _drivers(evidence),
        _ablation(evidence),
        _states(evidence),
    ]
    return PAGE.format(title=escape(title), body="\n".join(sections))


def _span(record: pl.DataFrame) -> tuple[date, date]:
    days = record["date"].sort()
    return days[0], days[-1]


def _skill(evidence: Evidence) -> str:
    product, record = evidence.product, evidence.record
    table = score(record, product)
    in_set = diagnostics.confidence_set(record)
    shown = table.select(
        "model", "qlike", "rmse_bp", "mae_bp", "vs_hv20", f"vs_{product.benchmark}", "dm_p",
        f"rmse_vs_{product.benchmark}", "rmse_dm_p",
    ).with_columns(mcs_p=pl.Series([in_set[name] for name in table["model"]]))  # fmt: skip
    pool = record.filter(pl.col("model") == product.pool_name)
    mz = diagnostics.mincer_zarnowitz(*(pool[n].to_numpy() for n in ("variance", "variance_hat")))
    means = dict(table.select("model", "qlike").iter_rows())
    reference = "hv20" if "hv20" in means else product.benchmark
    share = diagnostics.reducible_share(
        means[product.pool_name], means[reference], product.gate.noise_floor
    )
    words = (
        f"The pool saves {share:.0f}% of the loss that {reference} could have avoided (a perfect "
        f"forecast has {product.gate.noise_floor}). Mincer-Zarnowitz: slope {mz['slope']:.3f}, "
        f"joint p {mz['p']:.2f}. mcs_p below {diagnostics.SIZE} means outside the model "
        "confidence set; vs columns are percent saved, dm_p two-sided against the benchmark."
    )
    return f"<h2>Skill</h2>{table_of(shown, product.pool_name)}<p class='note'>{escape(words)}</p>"


def _along_time(evidence: Evidence) -> str:
    product, record = evidence.product, evidence.record
    pool = product.pool_name
    references = [n for n in (product.benchmark, "hv20") if n in set(record["model"])]
    curves = {name: diagnostics.cumulative_difference(record, pool, name) for name in references}
    each = []
    for year in sorted({day.year for day in record["date"]}):
        mine = record.filter(pl.col("date").dt.year() == year)
        means = dict(score(mine, product).select("model", "qlike").iter_rows())
        each.append({"year": str(year) + (" *" if year in diagnostics.CRISES else "")} | {
            name: means[name] for name in (pool, *references)
        } | {
            f"vs_{name}, %": gain(means[pool], means[name]) for name in references
        })  # fmt: skip
    return (
        "<h2>Along time</h2>"
        + plot(figures.fan_chart(evidence.published), first=True)
        + plot(figures.cumulative(curves))
        + table_of(pl.DataFrame(each), "")
        + "<p class='note'>* crisis years, always looked at one by one.</p>"
    )


def _regimes(evidence: Evidence) -> str:
    rows = evidence.published.drop_nulls(["low", "high"])
    probs = rows.select(intervals.PROBS).to_numpy()
    outcome = classes(rows["rv"].to_numpy(), rows.select("low", "high").to_numpy())
    table = pl.DataFrame(
        [{"definition": name, **found} for name, found in evidence.definitions.items()]
    )
    tried = pl.DataFrame([{"by": name, **row} for name, row in evidence.rival_regimes.items()])
    return (
        "<h2>Regime probabilities</h2>"
        + plot(figures.reliability(regimes.reliability(probs, outcome)))
        + "".join(table_of(frame, "") for frame in (table, tried) if frame.height)
    )


def _intervals(evidence: Evidence) -> str:
    found = evidence.rival_intervals or {"published": intervals.summary(evidence.published)}
    table = pl.concat([_by_level(name, row) for name, row in found.items()], how="diagonal_relaxed")
    crps = intervals.summary(evidence.published)["crps_bp"]
    words = (
        "score_bp is the mean interval score, width plus a penalty for what falls outside; worst "
        f"is the lowest coverage over {intervals.ROLLING} sessions. The continuous ranked "
        f"probability score of what is published is {crps:.1f} basis points."
    )
    return (
        "<h2>Intervals</h2>"
        + plot(figures.coverage(evidence.published))
        + table_of(table, "")
        + f"<p class='note'>{escape(words)}</p>"
    )


def _by_level(name: str, row: Mapping[str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "intervals": name,
                "level": f"{level}%",
                "coverage": f"{row[f'coverage_{level}']:.1%}",
                "worst": f"{row[f'worst_coverage_{level}']:.1%}",
                "score_bp": row[f"score_bp_{level}"],
            }
            for level in LEVELS
        ]
    )


def _drivers(evidence: Evidence) -> str:
    if evidence.effects.is_empty():
        return ""
    newest = evidence.effects.filter(pl.col("date") == pl.col("date").max()).drop_nulls("effect")
    said = sentence(tuple(newest["column"]), np.append(newest["effect"].to_numpy(), 0.0))
    stable = attribution.rank_stability(evidence.effects)
    words = (
        "SHAP values: what each feature adds to ln h; with the base they sum to the forecast. "
        "Each year is explained by the fit made at its first session. "
    )
    if not np.isnan(stable):
        words += f"The order of importance of one year and the next correlates by {stable:.2f}."
    return (
        "<h2>What moves the forecast</h2>"
        + f"<p><b>{newest['date'][0]}</b>: {escape(said)}</p>"
        + plot(figures.beeswarm(evidence.effects))
        + plot(figures.stability(evidence.effects))
        + f"<p class='note'>{escape(words)}</p>"
    )


def _ablation(evidence: Evidence) -> str:
    table = diagnostics.ablation(evidence.record, evidence.product)
    if table.is_empty():
        return ""
    words = "; ".join(
        f"{row['model']} adds {', '.join(row['added'])}" for row in table.iter_rows(named=True)
    )
    return (
        "<h2>Macro, regime and cross-asset columns</h2>"
        + plot(figures.ablation(table))
        + table_of(table.drop("added"), "")
        + f"<p class='note'>{escape(words)}.</p>"
    )


def _states(evidence: Evidence) -> str:
    table = describe_states(evidence.features)
    if table.is_empty():
        return ""
    items = "".join(f"<li>{escape(words)}</li>" for words in table["words"])
    return (
        "<h2>States of the market</h2>"
        + plot(figures.states(evidence.features))
        + f"<ul>{items}</ul>"
        + (table_of(evidence.rival_states, "") if evidence.rival_states.height else "")
        + "<p class='note'>Found by quarterly fits, each used for the sessions after it only; "
        "they explain, and are no part of the forecast.</p>"
    )


def write_report(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    product: Product,
    folder: Path,
    *,
    start: date | None = None,
    cores: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Evaluate the product with its challengers and rivals, write the page, return where it is.

    Raises
    ------
    NotEnoughHistory
        If the tables are too short for a walk-forward, or nothing is left from `start` on.
    """
    every = product.with_challengers()
    design = build_design(features, labels, needed_columns(every))
    recipe = effective(every, design)
    record = walk_forward(recipe, design, cores=cores, progress=progress).record
    made = gather(record, features, recipe, design=design, start=start)
    evidence = with_rivals(made, record)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"skill_{product.name}_{_span(record)[1]:%Y%m%d}.html"
    path.write_text(render(evidence))
    return path
