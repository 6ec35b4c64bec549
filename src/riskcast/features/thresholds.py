"""Quantiles of the label over everything known so far: the bounds of the regimes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence

import polars as pl

LEVELS = (0.33, 0.50, 0.67, 0.85)
MIN_LABELS = 500


def expanding_quantiles(
    values: Iterable[float | None],
    levels: Sequence[float] = LEVELS,
    min_values: int = MIN_LABELS,
) -> list[tuple[float, ...] | None]:
    """Return, at each position, the quantiles of the values up to and including it.

    Linear interpolation between order statistics (Hyndman and Fan 1996, type 7). Nulls are no
    values; None until `min_values` have been seen.
    """
    seen: list[float] = []
    rows: list[tuple[float, ...] | None] = []
    for value in values:
        if value is not None:
            insort(seen, value)
        enough = len(seen) >= min_values
        rows.append(tuple(_quantile(seen, level) for level in levels) if enough else None)
    return rows


def _quantile(ascending: Sequence[float], level: float) -> float:
    position = level * (len(ascending) - 1)
    below = int(position)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (position - below) * (ascending[above] - ascending[below])


def threshold_columns(realised: pl.Series) -> dict[str, pl.Series]:
    """Return the columns rv5_q33 to rv5_q85.

    Parameters
    ----------
    realised : Series of float
        Per session, the label that became known at its close: realised volatility of the window
        that ends there, which is rv_5d of the session five before.
    """
    rows = expanding_quantiles(realised)
    return {
        name: pl.Series(name, [row and row[i] for row in rows], dtype=pl.Float64)
        for i, name in enumerate(f"rv5_q{round(100 * level)}" for level in LEVELS)
    }
