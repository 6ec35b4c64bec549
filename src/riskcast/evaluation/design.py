"""From tables to a design, and from what is real in it to the product that can be evaluated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from riskcast.core.errors import LookAhead, NotEnoughHistory
from riskcast.models.base import FLOOR, Design, Floats
from riskcast.products import Candidate, Product
from riskcast.tables import gold

PSEUDO_MACRO = "MACRO"  # stands in `simulated` for the columns of gold.MACRO
WARM_UP = 252  # sessions: the longest window of a feature, in which its absence says nothing
REAL_SHARE = 0.95
RANGE_COLUMN = "tv1"
HORIZON = 5


def needed_columns(product: Product) -> tuple[str, ...]:
    """Return every feature column that an evaluation of the product reads, each once."""
    candidates = [name for candidate in product.candidates for name in candidate.columns]
    others = [*product.naive.values(), *product.thresholds, *product.regime_columns]
    return tuple(dict.fromkeys([*candidates, *others]))


def build_design(features: pl.DataFrame, labels: pl.DataFrame, columns: tuple[str, ...]) -> Design:
    """Join features and labels of one asset into arrays.

    Parameters
    ----------
    features, labels : DataFrame
        Rows of `features_daily` and `labels_daily`, in any order.

    Returns
    -------
    Design
        One row per row of `features`, ascending. Values that rest on simulated data are NaN. `y`
        is rv_5d squared, floored, `ranges` the same from session variances; `known` is the first
        session of `features` at whose own known_at the label could be read, NaT while none has
        come.
    """
    features = features.sort("date")
    joined = features.select("date").join(
        labels.select("date", "rv_5d", "known_at"), on="date", how="left", maintain_order="left"
    )
    dates = features["date"].to_numpy().astype("datetime64[D]")
    read_at = np.maximum.accumulate(features["known_at"].to_numpy().astype("datetime64[us]"))
    label_at = joined["known_at"].to_numpy().astype("datetime64[us]")
    index = np.searchsorted(read_at, label_at)  # NaT sorts last, so no label gives len(dates)
    known = np.append(dates, np.datetime64("NaT"))[np.minimum(index, len(dates))]
    rv = joined["rv_5d"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    y = np.where(np.isnat(known), np.nan, np.maximum(rv**2, FLOOR))
    known = np.where(np.isnan(y), np.datetime64("NaT"), known)
    ranges = np.where(np.isnan(y), np.nan, ranges_ahead(features))
    return Design(columns, real_values(features, columns), y, dates, known, ranges)


def check_labels(design: Design, horizon: int) -> None:
    """Raise LookAhead if a label claims to be known before its `horizon` sessions are over.

    Counted in weekdays, of which sessions are a part, so that a missing row raises no alarm.
    """
    has = ~np.isnat(design.known)
    early = np.busday_count(design.dates[has], design.known[has]) < horizon
    if early.any():
        first, known = design.dates[has][early][0], design.known[has][early][0]
        raise LookAhead(
            f"{int(early.sum())} labels claim to be known before {horizon} sessions have passed, "
            f"first that of {first} at {known}"
        )


def ranges_ahead(features: pl.DataFrame) -> Floats:
    """Return the range-based variance of the five sessions after each row, shape (n,).

    The sum of the session variances whose logarithm is RANGE_COLUMN, ascending rows given; NaN
    for the last five rows. Like the label it looks ahead, and is known when the label is.
    """
    log_variance = features[RANGE_COLUMN].cast(pl.Float64).fill_nan(None)
    ahead = log_variance.exp().rolling_sum(HORIZON).shift(-HORIZON)
    values: Floats = ahead.fill_null(np.nan).to_numpy().astype(np.float64)
    return values


def real_values(features: pl.DataFrame, columns: tuple[str, ...]) -> Floats:
    """Return the columns, shape (n, p); NaN where unknown or resting on simulated data."""
    macro = {column.name for column in gold.MACRO}
    simulated = features["simulated"].fill_null([])
    names = set(simulated.explode().drop_nulls().to_list())
    on_row = {name: simulated.list.contains(name).to_numpy() for name in names}
    values = np.empty((len(features), len(columns)))
    for j, name in enumerate(columns):
        rests_on = {*gold.FEATURES_DAILY.column(name).symbols}
        rests_on |= {PSEUDO_MACRO} if name in macro else set()
        values[:, j] = features[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for symbol in rests_on & names:
            values[on_row[symbol], j] = np.nan
    return values


def first_fit(product: Product, design: Design) -> int:
    """Return the row at whose close `min_train` labels are known for the first time.

    Raises
    ------
    NotEnoughHistory
        If there is no such row.
    """
    known = np.sort(design.known[~np.isnat(design.known)])
    if len(known) < product.scheme.min_train:
        raise NotEnoughHistory(
            f"{product.name}: {len(known)} sessions with a known label; the first fit needs "
            f"{product.scheme.min_train}"
        )
    return int(np.searchsorted(design.dates, known[product.scheme.min_train - 1]))


def usable_columns(product: Product, design: Design) -> set[str]:
    """Return the columns of `design` that are real often enough to be used.

    Decided once, from the rows that the first fit sees (warm-up apart), so that no later history
    can change which columns an evaluation began with.
    """
    seen = design.known_by(design.dates[first_fit(product, design)])
    rows = seen.x[min(WARM_UP, len(seen.x) // 2) :]
    share = (~np.isnan(rows)).mean(axis=0)
    return {n for n, real in zip(design.columns, share, strict=True) if real >= REAL_SHARE}


def effective(product: Product, design: Design) -> Product:
    """Return the product as the data at hand allows it; itself if every column is usable.

    Candidates lose unusable columns; one left without any, or the same as another, goes. Where
    the benchmark loses a column, the fallback takes its place. Offsets name their candidate.
    """
    usable = usable_columns(product, design)
    whole = set(product.candidate(product.benchmark).columns) <= usable
    benchmark = product.benchmark if whole else product.fallback_benchmark
    kept: dict[str, Candidate] = {}
    for candidate in product.candidates:
        kept_columns = usable | set(candidate.columns) if candidate.partial else usable
        columns = tuple(name for name in candidate.columns if name in kept_columns)
        to_benchmark = candidate.offset in {"benchmark", product.benchmark}
        offset = benchmark if to_benchmark else candidate.offset
        reduced = replace(candidate, columns=columns, offset=offset)
        same = any(replace(other, name=reduced.name) == reduced for other in kept.values())
        if columns and not same:
            kept[candidate.name] = reduced
    pool = tuple(name for name in product.pool if name in kept)
    served = {name for member in pool for name in kept[member].columns}
    return replace(
        product,
        candidates=tuple(kept.values()),
        benchmark=benchmark,
        pool=pool,
        regime_columns=tuple(name for name in product.regime_columns if name in served),
    )
