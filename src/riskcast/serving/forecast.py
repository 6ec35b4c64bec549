"""From a model, a row of features and a client's wishes to an answer. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from riskcast.core.errors import ArtifactRefused, FeatureMissing, FeatureUnknown
from riskcast.models.base import Floats, Forecasts
from riskcast.models.explain import sentence
from riskcast.models.served import ServedModel
from riskcast.online.base import FeatureRow
from riskcast.products import Product
from riskcast.registry import LoadedModel
from riskcast.serving.errors import Refusal
from riskcast.serving.features import NUMERIC, numeric
from riskcast.serving.schemas import REGIMES
from riskcast.tables import Table

DRIVERS = 5
REMEMBERED = 1024  # answers
SESSIONS_PER_YEAR = 252


def check_given(given: Mapping[str, float], table: Table) -> None:
    """Refuse values for names that are no feature, or that no market could have shown.

    Raises
    ------
    FeatureUnknown
        Naming the nearest known feature.
    Refusal
        422 feature-out-of-range.
    """
    for name, value in given.items():
        column = table.find(name)
        if column is None or column.kind not in NUMERIC:
            near = get_close_matches(name, numeric(table), n=1, cutoff=0.0)[0]
            raise FeatureUnknown(f"{name[:64]!r} is no feature; the nearest is {near!r}")
        low = -math.inf if column.low is None else column.low
        high = math.inf if column.high is None else column.high
        if not low <= value <= high:
            bounds = f"[{low}, {high}]"
            raise Refusal(
                422,
                "feature-out-of-range",
                f"{name} = {value} lies outside {bounds}",
                f"{name}: {column.doc} Give a value in {bounds}.",
            )


def known_values(
    model: ServedModel, row: FeatureRow, given: Mapping[str, float], table: Table
) -> dict[str, float]:
    """Return the value of every needed feature.

    Raises
    ------
    FeatureMissing
        Naming those that are not stored, or are simulated: a model is never given either.
    """
    simulated = set(row.simulated)
    values: dict[str, float] = {}
    missing = []
    for name in model.needed:
        stored = row.values.get(name)
        if name in given:
            values[name] = given[name]
        elif stored is None or not math.isfinite(stored):
            missing.append(name)
        elif simulated and simulated & set(table.column(name).symbols):
            missing.append(f"{name} (simulated)")
        else:
            values[name] = stored
    if missing:
        raise FeatureMissing(f"{row.symbol} {row.session} lacks {', '.join(missing)}")
    return values


def run(model: ServedModel, values: Mapping[str, float]) -> Forecasts:
    """Forecast one row."""
    x = np.array([[values[name] for name in model.columns]])
    thresholds = np.array([[values[name] for name in model.thresholds]])
    with np.errstate(over="ignore", invalid="ignore"):  # `fault` judges what comes out
        return model.forecast(x, thresholds)


def fault(forecasts: Forecasts, columns: int) -> str:
    """Return what is wrong with a one-row forecast, empty if it can be answered."""
    variance = float(forecasts.variance[0])
    # Numbers of Python: they are few, and NumPy takes longer to be asked than to compute.
    ends = [pair[0].tolist() for pair in forecasts.intervals.values()]
    probs = forecasts.regime_probs[0].tolist()
    contributions = forecasts.contributions[0]
    if not (math.isfinite(variance) and variance > 0):
        return f"the variance is {variance}"
    if not all(-math.inf < low <= high < math.inf for low, high in ends):
        return "an interval is not finite or upside down"
    sums_to_one = len(probs) == len(REGIMES) and math.isclose(sum(probs), 1.0, abs_tol=1e-6)
    if not sums_to_one or min(probs) < 0:
        return f"the regime probabilities are {probs}"
    if contributions.shape != (columns + 1,) or not np.isfinite(contributions).all():
        return "the contributions are not one finite number a feature and the base"
    return ""


def check_model(model: ServedModel, product: Product, row: FeatureRow | None) -> None:
    """Refuse a model that belongs elsewhere or does not give a sound forecast.

    The newest row is the probe; without one that is complete, plain numbers are.

    Raises
    ------
    ArtifactRefused
        Saying what is wrong with it.
    """
    if model.product != product.name:
        raise ArtifactRefused(f"the model is one of {model.product!r}, not {product.name!r}")
    if unknown := sorted(set(model.needed) - set(numeric(product.features))):
        raise ArtifactRefused(f"the model wants {unknown}, no columns of {product.features.name}")
    low, high = model.thresholds
    values = {**dict.fromkeys(model.columns, 0.0), low: 0.01, high: 0.03}
    if row is not None:
        values.update({n: v for n in values if (v := row.values.get(n)) is not None})
    if why := fault(run(model, values), len(model.columns)):
        raise ArtifactRefused(f"its smoke forecast is unsound: {why}")


def answer(
    loaded: LoadedModel, row: FeatureRow, given: Mapping[str, float], table: Table
) -> dict[str, Any]:
    """Return the forecast part of an answer.

    Raises
    ------
    FeatureMissing
        If a needed value is not stored and not given.
    Refusal
        422 feature-out-of-range or 503 forecast-unsound where the model gives no sound number.
    """
    model = loaded.model
    values = known_values(model, row, given, table)
    forecasts = run(model, values)
    if why := fault(forecasts, len(model.columns)):
        if given:
            message = f"with these values the model gives no sound forecast: {why}"
            raise Refusal(422, "feature-out-of-range", message, "Give values nearer to history.")
        raise Refusal(
            503, "forecast-unsound", why, "Promote an earlier version: `riskcast models promote`."
        )
    hat = math.sqrt(float(forecasts.variance[0]))
    drivers = _drivers(model.columns, values, forecasts.contributions[0])
    return {
        "as_of_date": row.session,
        "symbol": row.symbol,
        "rv_5d_hat": hat,
        "rv_5d_annualised": hat * math.sqrt(SESSIONS_PER_YEAR / 5),
        "intervals": {str(level): ends[0].tolist() for level, ends in forecasts.intervals.items()},
        "regime_probs": dict(zip(REGIMES, forecasts.regime_probs[0].tolist(), strict=True)),
        "top_drivers": [driver["name"] for driver in drivers],
        "drivers": drivers,
        "explanation": sentence(model.columns, forecasts.contributions[0]),
        "in_sample": model.fit_end > row.session,
        "ignored_features": sorted(set(given) - set(model.needed)),
        "features_known_at": row.known_at,
    }


class Memo:
    """The answers of one model on one row of features, by the values a client put in place.

    Both change once a day, and meanwhile most clients ask the same.
    """

    def __init__(self) -> None:
        self._of: tuple[LoadedModel, FeatureRow] | None = None

    def answer(
        self, loaded: LoadedModel, row: FeatureRow, given: Mapping[str, float], table: Table
    ) -> dict[str, Any]:
        """Return `answer` of the same; errors are not remembered."""
        if self._of is None or self._of[0] is not loaded or self._of[1] is not row:
            self._of = (loaded, row)
            self._known = lru_cache(REMEMBERED)(lambda put: answer(loaded, row, dict(put), table))
        return self._known(tuple(sorted(given.items())))


def _drivers(
    columns: tuple[str, ...], values: Mapping[str, float], contributions: Floats
) -> list[dict[str, Any]]:
    """The features with the largest effect on ln h; the base, last, is none of them."""
    effects = contributions[:-1]
    largest = np.argsort(-np.abs(effects), kind="stable")[:DRIVERS]
    return [
        {
            "name": columns[i],
            "value": values[columns[i]],
            "contribution": float(effects[i]),
            "direction": "raises" if effects[i] >= 0 else "lowers",
        }
        for i in largest
    ]
