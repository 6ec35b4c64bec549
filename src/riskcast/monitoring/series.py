"""What is watched for drift: the columns the pool reads, its forecast and its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskcast.core.errors import NotEnoughHistory
from riskcast.core.settings import Settings
from riskcast.evaluation.design import HORIZON, real_values
from riskcast.models.base import Floats
from riskcast.monitoring.drift import DAILY, STATISTICS
from riskcast.monitoring.findings import ALARM, OK, WARN, Finding
from riskcast.monitoring.limits import Judged, judge
from riskcast.products import Product

FORECAST, OUTCOME = "forecast", "outcome"
PSI = STATISTICS.index("psi")


def watched(
    features: pl.DataFrame, labels: pl.DataFrame, losses: pl.DataFrame, recipe: Product
) -> tuple[tuple[str, ...], Floats]:
    """Return names and values of the series along time, shape (n, p), NaN where missing.

    Forecast and outcome are logs of the variance of the session HORIZON before: the newest whose
    outcome is known, so that a row holds nothing its session did not know.

    Parameters
    ----------
    features : DataFrame
        Ascending by date.
    """
    columns = tuple(dict.fromkeys(c for m in recipe.pool for c in recipe.candidate(m).columns))
    made = losses.filter(pl.col("model").is_in([recipe.pool_name, "champion"])).sort(
        "evaluation"  # live before walk_forward: what was published is what counts
    )
    forecast = made.unique("date", keep="first").select("date", "variance_hat")
    both = (
        features.select("date", "known_at")
        .join(forecast, on="date", how="left", maintain_order="left")
        .join(
            labels.select("date", "rv_5d", pl.col("known_at").alias("matured")),
            on="date",
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("variance_hat", "rv_5d", "matured").shift(HORIZON))
        .with_columns(late=pl.col("matured").is_null() | (pl.col("matured") > pl.col("known_at")))
    )
    values = both.select(
        pl.when("late").then(None).otherwise(pl.col("variance_hat").log()).alias(FORECAST),
        pl.when("late").then(None).otherwise(2 * (pl.col("rv_5d") + 1e-4).log()).alias(OUTCOME),
    ).fill_null(np.nan)
    x = np.hstack([real_values(features, columns), values.to_numpy()])
    return (*columns, FORECAST, OUTCOME), x


def watch(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    losses: pl.DataFrame,
    recipe: Product,
    due: list[datetime],
    settings: Settings,
) -> Iterator[Finding]:
    """Yield missing values and drift of every series, and of all together, at each due instant.

    Parameters
    ----------
    due : list of datetime
        Ascending and distinct; an instant stands for the newest session known by then.
    """
    if not due:
        return
    names, x = watched(features, labels, losses, recipe)
    instants = pl.Series(due, dtype=features["known_at"].dtype)
    rows = (
        features["known_at"].search_sorted(instants, side="right").to_numpy().astype(np.int64) - 1
    )
    # Forecasts begin anew with each champion; only what the pool reads can lack a value.
    yield from _missing(names[:-2], x[:, :-2], rows, due, float(settings.limit_missing))
    try:
        judged = judge(x, since=int(rows[0]))
    except NotEnoughHistory as error:
        yield from (Finding("drift", "all", at, None, None, OK, str(error)) for at in due)
        return
    for row, at in zip(rows - rows[0], due, strict=True):
        yield from _drift(names, judged, int(row), at, settings)


def _missing(
    names: tuple[str, ...], x: Floats, rows: NDArray[np.int64], due: list[datetime], limit: float
) -> Iterator[Finding]:
    for row, at in zip(rows, due, strict=True):
        month = x[max(row + 1 - DAILY.month, 0) : row + 1]
        # Before a series begins nothing is missing.
        begun = ~np.isnan(x[: row + 1]).all(axis=0)
        for j in np.flatnonzero(begun & np.isnan(month).any(axis=0)):
            share = float(np.isnan(month[:, j]).mean())
            verdict = ALARM if share > limit else WARN
            why = f"{share:.0%} of the last {len(month)} values missing; {limit:.0%} may"
            yield Finding("missing", names[j], at, share, limit, verdict, why)


def _drift(
    names: tuple[str, ...], judged: Judged, row: int, at: datetime, settings: Settings
) -> Iterator[Finding]:
    if np.isnan(judged.bound[row]).all():
        why = "too short a past to set bounds"
        yield Finding("drift", "all", at, None, None, OK, why)
        return
    beyond, share = judged.beyond[row], judged.share[row]
    known = np.isfinite(judged.bound[row]).any(axis=1) & ~np.isnan(judged.value[row]).all(axis=1)
    for j in np.flatnonzero(known):
        worst = int(np.nanargmax(np.where(np.isfinite(share[j]), share[j], -1.0)))
        value, bound = float(judged.value[row, j, worst]), float(judged.bound[row, j, worst])
        psi = float(judged.value[row, j, PSI])
        word = "beyond" if beyond[j] else "within"
        figures = {
            "statistic": STATISTICS[worst],
            "psi": psi,
            "psi_limit": float(settings.limit_psi),
            "psi_bound": float(judged.bound[row, j, PSI]),
        }
        verdict = ALARM if beyond[j] else OK
        why = f"{STATISTICS[worst]} {value:.2f} is {word} {bound:.2f}, set by its own past"
        yield Finding("drift", names[j], at, value, bound, verdict, why, figures)
    yield _family(names, beyond, known, at, float(settings.limit_drift_share))


def _family(
    names: tuple[str, ...],
    beyond: NDArray[np.bool_],
    known: NDArray[np.bool_],
    at: datetime,
    limit: float,
) -> Finding:
    """Return the verdict on all series: many drifted, or what is forecast itself, alarms."""
    gone = [names[j] for j in np.flatnonzero(beyond)]
    share = len(gone) / max(int(known.sum()), 1)
    serious = share > limit or bool({FORECAST, OUTCOME} & set(gone))
    verdict = ALARM if serious else WARN if gone else OK
    said = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    why = f"{said} left their past" if gone else f"{int(known.sum())} series within their past"
    return Finding("drift", "all", at, share, limit, verdict, why, {"series": gone})
