"""What may replace the champion. Nothing here promotes anything: it decides and says why.

A *recipe* is columns, parameters and pool rule; a new one must show skill. A *refit* is the
champion's own recipe on newer data: its skill is the champion's, so it must only be sane.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from riskcast.evaluation import intervals, regimes
from riskcast.evaluation.diebold_mariano import Comparison, diebold_mariano
from riskcast.evaluation.scores import common_span, losses_of
from riskcast.models.base import Floats, Forecasts
from riskcast.models.served import ADDITIVE, ServedModel
from riskcast.products import Gate, Product

CHAMPION = "champion"
BAND_MEDIAN = (0.8, 1.25)  # of new over old variance on the last sessions
BAND_EACH = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided and on which figures.

    Attributes
    ----------
    verdict : {"promote", "refuse"}
    reason : str
        The first check that failed, or what was shown.
    figures : dict
        Every figure the verdict rests on; JSON-ready.
    """

    verdict: str
    reason: str
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def promoted(self) -> bool:
        return self.verdict == "promote"


def decide(
    record: pl.DataFrame,
    features: pl.DataFrame,
    product: Product,
    *,
    champion: pl.DataFrame | None = None,
) -> Verdict:
    """Judge a new recipe by its walk-forward record.

    Without champion the pool must beat every naive forecast significantly. With one it must beat
    the champion's pool by `gate.margin` of its reducible loss, or significantly and by
    `gate.min_gain`. Either way it must not be significantly worse than the benchmark, its
    intervals must cover, and its Brier score must not fall behind the champion's.

    Parameters
    ----------
    record : DataFrame
        Walk-forward record of the recipe under an effective product.
    features : DataFrame
        Columns date and `product.thresholds`.
    champion : DataFrame, optional
        The champion's record; rows of `product.pool_name` are used, on the common sessions.
    """
    gate, name = product.gate, product.pool_name
    wanted = [name, product.benchmark, *product.naive]
    rows = record.filter(pl.col("model").is_in(wanted))
    if champion is not None:
        rival = champion.filter(pl.col("model") == name).with_columns(model=pl.lit(CHAMPION))
        rows = pl.concat([rows, rival.select(rows.columns)])
    figures: dict[str, float] = {"rows": _shared_rows(rows)}
    if figures["rows"] < gate.min_rows:
        reason = f"{figures['rows']:.0f} scored sessions; the gate needs {gate.min_rows}"
        return Verdict("refuse", reason, figures)
    scored = common_span(rows)
    worse = _against(scored, name, product.benchmark, figures).worse(gate.alpha)
    checks = [
        (worse, f"significantly worse than {product.benchmark}"),
        *_skill(scored, product, figures, first=champion is None),
        *_calibration(rows, features, product, figures, first=champion is None),
    ]
    for failed, reason in checks:
        if failed:
            return Verdict("refuse", reason, figures)
    shown = "every naive forecast" if champion is None else "the champion"
    return Verdict("promote", f"beats {shown}; intervals and regimes within bounds", figures)


def _shared_rows(rows: pl.DataFrame) -> int:
    models = rows["model"].n_unique()
    return rows.filter(pl.len().over("date") == models)["date"].n_unique()


def _against(
    scored: pl.DataFrame, name: str, reference: str, figures: dict[str, float]
) -> Comparison:
    loss, other = losses_of(scored, name), losses_of(scored, reference)
    test = diebold_mariano(loss, other)
    figures["qlike"] = float(loss.mean())
    figures[f"qlike_{reference}"] = float(other.mean())
    figures[f"gain_{reference}"] = float(1 - loss.mean() / other.mean())
    figures[f"dm_t_{reference}"], figures[f"dm_p_{reference}"] = test.statistic, test.p
    return test


def _skill(
    scored: pl.DataFrame,
    product: Product,
    figures: dict[str, float],
    *,
    first: bool,
) -> list[tuple[bool, str]]:
    gate, name = product.gate, product.pool_name
    checks = []
    for naive in product.naive:
        test = _against(scored, name, naive, figures)
        failed = first and not test.better(gate.alpha)
        checks.append((failed, f"no significant skill against {naive}"))
    if not first:
        test = _against(scored, name, CHAMPION, figures)
        checks.append((not _beats(test, figures, gate), "not better than the champion by enough"))
    return checks


def _beats(test: Comparison, figures: dict[str, float], gate: Gate) -> bool:
    rival = float(figures[f"qlike_{CHAMPION}"])
    reducible = max(rival - gate.noise_floor, 0.0)
    by_margin = -test.difference >= gate.margin * reducible > 0
    by_test = test.better(gate.alpha) and -test.difference >= gate.min_gain * rival
    figures["needed_margin"] = gate.margin * reducible
    return by_margin or by_test


def _calibration(
    rows: pl.DataFrame,
    features: pl.DataFrame,
    product: Product,
    figures: dict[str, float],
    *,
    first: bool,
) -> list[tuple[bool, str]]:
    published = intervals.calibrated(rows, features, product)
    figures["brier"] = regimes.summary(published)["brier"]
    checks = []
    for level, (low, high) in product.gate.coverage.items():
        share = figures[f"coverage_{level}"] = intervals.coverage(published, level)
        text = f"{level}% intervals cover {share:.1%}, outside {low:.0%} to {high:.0%}"
        checks.append((not low <= share <= high, text))
    if not first:
        rival = rows.filter(pl.col("model") == CHAMPION).with_columns(
            model=pl.lit(product.pool_name)
        )
        theirs = intervals.calibrated(rival, features, product)
        same = published.join(theirs, on="date", how="semi")
        theirs = theirs.join(published, on="date", how="semi")
        figures["brier"] = regimes.summary(same)["brier"]
        figures[f"brier_{CHAMPION}"] = regimes.summary(theirs)["brier"]
        limit = figures[f"brier_{CHAMPION}"] * (1 + product.gate.brier_slack)
        checks.append((figures["brier"] > limit, "Brier score worse than the champion's"))
    return checks


def check_refit(new: ServedModel, old: ServedModel, x: Floats, thresholds: Floats) -> Verdict:
    """Judge a refit of the champion's recipe by its forecasts of the last sessions.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features of the last sessions (60 by habit), columns as `new.columns`.
    thresholds : ndarray, shape (n, 2)
    """
    if (new.recipe, new.columns) != (old.recipe, old.columns):
        return Verdict("refuse", f"recipe {new.recipe} is no refit of {old.recipe}")
    if new.fit_end < old.fit_end:
        return Verdict("refuse", f"fit_end {new.fit_end} lies before the champion's {old.fit_end}")
    ours = new.forecast(x, thresholds)
    if not all(np.isfinite(values).all() for values in _numbers(ours)):
        return Verdict("refuse", "a forecast is not finite")
    again = ServedModel.load(new.dump()).forecast(x, thresholds)
    ratio = ours.variance / old.forecast(x, thresholds).variance
    gap = float(np.abs(ours.contributions.sum(axis=1) - new.log_variance(x)).max())
    figures: dict[str, float] = {
        "sessions": len(x),
        "median_ratio": float(np.median(ratio)),
        "min_ratio": float(ratio.min()),
        "max_ratio": float(ratio.max()),
        "additivity_gap": gap,
    }
    low, high = BAND_MEDIAN
    checks = [
        (gap <= ADDITIVE, "contributions do not add up to the forecast"),
        (_same(ours, again), "forecasts change when the model is stored and loaded"),
        (low <= np.median(ratio) <= high, f"median ratio to the champion outside {BAND_MEDIAN}"),
        (
            BAND_EACH[0] <= ratio.min() and ratio.max() <= BAND_EACH[1],
            f"a forecast is outside {BAND_EACH} times the champion's",
        ),
    ]
    for passed, reason in checks:
        if not passed:
            return Verdict("refuse", reason, figures)
    return Verdict("promote", f"sane on the last {len(x)} sessions", figures)


def _numbers(made: Forecasts) -> list[Floats]:
    return [made.variance, made.regime_probs, made.contributions, *made.intervals.values()]


def _same(one: Forecasts, other: Forecasts) -> bool:
    pairs = zip(_numbers(one), _numbers(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
