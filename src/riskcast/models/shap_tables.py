"""TreeSHAP of small trees by table: what the library says of every way a row can fall, kept.

The effects of one tree (Lundberg et al. 2020, path-dependent) depend on a row only through the
answers to the tree's splits, and only on the columns these look at. A tree of depth 3 has at most 7
splits, so LightGBM or XGBoost itself is asked for each combination of answers that some row can
give, and a forecast looks the rows up. All trees are asked at once: where each has columns of its
own, whatever a row says of one tree leaves the effects of the others alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from riskcast.core.errors import ArtifactRefused
from riskcast.core.turns import take_turn
from riskcast.models.base import Floats

MOST_SPLITS = 8  # of one tree: its answers fill a byte; a table has 2 ** splits rows
MOST_VALUES = 4_000_000  # of all tables, 8 bytes each
CHUNK = 256  # rows looked up at once, which bounds memory
PROBES = 32
FEW = 8  # rows that a library is asked for in one turn

# Effects of a forest on rows of shape (n, p): shape (n, p + 1), the last the base.
Native = Callable[[Floats], Floats]
# The same forest over so many other columns, given which ones the splits of each tree look at.
Elsewhere = Callable[[Sequence[tuple[int, ...]], int], Native]


@dataclass(frozen=True, slots=True)
class Splits:
    """The splits of one tree: the column each looks at, and up to which value it answers yes."""

    features: tuple[int, ...]
    thresholds: tuple[float, ...]

    @property
    def first(self) -> tuple[int, ...]:
        """Where, among the splits, the first stands that looks at the same column."""
        return tuple(self.features.index(column) for column in self.features)


@dataclass(frozen=True, slots=True)
class ShapTables:
    """Effects of every tree under every combination of answers.

    Attributes
    ----------
    features : ndarray of int, shape (trees, s)
        Column each split looks at; 0 where a tree has fewer than s splits.
    thresholds : ndarray, shape (trees, s)
        A value up to the threshold answers yes; minus infinity where there is no split.
    effects : ndarray, shape (trees, 2 ** s, s)
        Effect on ln h of each split's column by the answers read as a binary number. A column that
        several splits look at has its effect at the first of them.
    base : float
        Of all trees.
    columns : int
        p, how many columns a row has.
    """

    features: NDArray[np.intp]
    thresholds: Floats
    effects: Floats
    base: float
    columns: int
    _where: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note to which effect of a row each of a tree's effects is added."""
        object.__setattr__(self, "_where", self.features.ravel())

    @classmethod
    def build(
        cls,
        trees: Sequence[Splits],
        native: Native,
        elsewhere: Elsewhere,
        columns: int,
        *,
        parity: float,
        single: bool = False,
    ) -> ShapTables | None:
        """Return the tables of a forest, None where they would be too large.

        Parameters
        ----------
        native, elsewhere : callable
            What the forest's own library says of it, and of it over other columns.
        parity : float
            Largest difference to it that rounding can make.
        single : bool
            Whether the forest rounds values to single precision before it compares them.

        Raises
        ------
        ArtifactRefused
            If the sum of the tables is not what the library says of the whole forest.
        """
        s = max((len(tree.features) for tree in trees), default=0)
        if not 0 < s <= MOST_SPLITS or len(trees) * 2**s * s > MOST_VALUES:
            return None
        features = np.zeros((len(trees), s), dtype=np.intp)
        first = np.tile(np.arange(s), (len(trees), 1))
        thresholds = np.full((len(trees), s), -np.inf)
        for i, tree in enumerate(trees):
            splits = slice(len(tree.features))
            features[i, splits], thresholds[i, splits] = tree.features, tree.thresholds
            first[i, splits] = tree.first
        if single:
            thresholds = _last_rounded_to(thresholds)
        # Each row asks every tree for one of its combinations; whose are fewer, again and again.
        own = [_every_row(*tree) for tree in zip(first, thresholds, strict=True)]
        rows = np.zeros((max(map(len, own)), len(trees), s))
        for i, few in enumerate(own):
            rows[:, i] = few[np.arange(len(rows)) % len(few)]
        apart = [tuple(i * s + j for j in tree.first) for i, tree in enumerate(trees)]
        said = _in_turns(elsewhere(apart, len(trees) * s), rows.reshape(len(rows), -1))
        effects = np.zeros((len(trees), 2**s, s))
        for i in range(len(trees)):
            answers = _binary(rows[:, i, first[i]] <= thresholds[i])
            effects[i, answers] = said[:, i * s : (i + 1) * s]
            take_turn()
        tables = cls(features, thresholds, effects, float(said[0, -1]), columns)
        tables._check(native, parity)
        return tables

    @classmethod
    def pooled(
        cls, forests: Sequence[tuple[float, NDArray[np.intp], ShapTables]], columns: int
    ) -> ShapTables:
        """Return one forest of several, over rows of `columns` columns.

        Of each: its share in the effects, where its columns stand among all, its tables.
        """
        trees = sum(len(tables.features) for _, _, tables in forests)
        s = max(tables.features.shape[1] for _, _, tables in forests)
        features = np.zeros((trees, s), dtype=np.intp)
        thresholds = np.full((trees, s), -np.inf)  # splits that only a larger tree has: never yes
        effects, base = np.zeros((trees, 2**s, s)), 0.0
        first = 0
        for share, where, tables in forests:
            count, own = tables.features.shape
            rows, first = slice(first, first + count), first + count
            features[rows, :own] = where[tables.features]
            thresholds[rows, :own] = tables.thresholds
            effects[rows, : 2**own, :own] = share * tables.effects
            base += share * tables.base
        return cls(features, thresholds, effects, base, columns)

    def contributions(self, x: Floats) -> Floats:
        """Return shape (n, p + 1) for finite `x`, shape (n, p); a row's sum is independent of n."""
        if len(x) == 1:
            return self._look_up(x)
        parts = [self._look_up(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, self.columns + 1))

    def _look_up(self, x: Floats) -> Floats:
        n, width = len(x), self.columns + 1
        found = self.effects[np.arange(len(self.features)), self._answers(x)]
        where = self._where if n == 1 else self._where + width * np.arange(n)[:, None]
        # Splits without an effect of their own add zero.
        summed = np.bincount(where.ravel(), found.ravel(), minlength=n * width).reshape(n, width)
        summed[:, -1] = self.base
        return np.asarray(summed, dtype=np.float64)

    def _answers(self, x: Floats) -> NDArray[np.uint8]:
        """Return shape (n, trees): the answers to a tree's splits, as a binary number."""
        return _binary(x[:, self.features] <= self.thresholds)

    def _check(self, native: Native, parity: float) -> None:
        rng = np.random.default_rng(0)
        x = np.zeros((PROBES, self.columns))
        for column in range(self.columns):
            real = np.isfinite(self.thresholds) & (self.features == column)
            cuts = np.unique(self.thresholds[real]) if real.any() else np.zeros(1)
            # On a threshold and right above it: where a wrong comparison would show.
            x[:, column] = rng.choice(np.r_[cuts, np.nextafter(cuts, np.inf)], PROBES)
        gap = float(np.abs(self.contributions(x) - _in_turns(native, x)).max())
        if not gap <= parity:
            raise ArtifactRefused(
                f"contributions by table differ from the library's own by {gap:.2g}, more than "
                f"{parity:g}; the trees are not what this version of it reads"
            )


def _every_row(first: NDArray[np.intp], thresholds: Floats) -> Floats:
    """Return rows, shape (m, s), that give every combination of a tree's answers there can be.

    A column's value stands where the first split on it does: each threshold itself, and one above
    the largest.
    """
    take_turn()
    cuts: dict[int, set[float]] = {}
    for j, threshold in zip(first.tolist(), thresholds.tolist(), strict=True):
        if math.isfinite(threshold):
            cuts.setdefault(j, set()).add(threshold)
    values = [[*sorted(own), math.nextafter(max(own), math.inf)] for own in cuts.values()]
    combined = list(product(*values))
    rows = np.zeros((len(combined), len(thresholds)))
    rows[:, list(cuts)] = combined
    return rows


def _in_turns(native: Native, x: Floats) -> Floats:
    """Return what a library says of `x`, asked for a few rows at a time."""
    said = []
    for i in range(0, len(x), FEW):
        take_turn()
        said.append(native(x[i : i + FEW]))
    return np.concatenate(said)


def _binary(yes: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return answers, shape (..., s), as binary numbers, the first the lowest digit."""
    return np.packbits(yes, axis=-1, bitorder="little")[..., 0]


def _last_rounded_to(thresholds: Floats) -> Floats:
    """Return the largest doubles that single precision rounds to `thresholds` or below.

    So comparing with them needs no rounding. Halfway to the next single is the last, or the
    double before it, as a tie goes to the even one (IEEE 754-2019, 4.3.1).
    """
    rounded = thresholds.astype(np.float32)
    above = np.nextafter(rounded, np.float32(np.inf))
    halfway = (rounded.astype(np.float64) + above) / 2
    before = np.nextafter(halfway, -np.inf)
    return np.where(halfway.astype(np.float32) <= rounded, halfway, before)
