"""Boosted trees that correct a linear forecast: free-standing trees cannot extrapolate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from typing import Any

import lightgbm as lgb
import numpy as np

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models import lightgbm_text
from riskcast.models.artifact import Fields, pack
from riskcast.models.base import Design, Floats
from riskcast.models.shap_tables import Native, ShapTables

FILE, TREES = "model.json", "trees.txt"
PARITY = 1e-9  # LightGBM sums in double


@dataclass(frozen=True)
class Boosted:
    """Fitted trees: ln h = offset + sum of trees.

    `contributions` gives the trees' TreeSHAP values (Lundberg et al. 2020); the offset goes to
    the base, because only its own model can say which columns made it.

    Attributes
    ----------
    trees : str
        LightGBM text, up to the last tree.

    Raises
    ------
    ArtifactRefused
        If the text is not what LightGBM writes for a plain forest over the columns.
    """

    columns: tuple[str, ...]
    fit_end: date
    trees: str
    booster: lgb.Booster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lightgbm_text.check(self.trees, self.columns)
        booster = lgb.Booster(model_str=self.trees)
        object.__setattr__(self, "booster", booster)

    @cached_property
    def tables(self) -> ShapTables | None:
        """Built on first use: a walk-forward, which fits hundreds, never asks."""
        trees = lightgbm_text.splits(self.trees)
        native = partial(_effects, self.booster)
        return ShapTables.build(trees, native, self._elsewhere, len(self.columns), parity=PARITY)

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:
        """Return ln h, shape (n,).

        Raises
        ------
        TypeError
            If no offset is given.
        """
        raw: Floats = np.asarray(self.booster.predict(x, raw_score=True, num_threads=1))
        return raw + given(offset)

    def contributions(self, x: Floats, offset: Floats | None = None) -> Floats:
        start = given(offset)
        if self.tables is not None and np.isfinite(x).all():
            effects = self.tables.contributions(x)
            effects[:, -1] += start
            return effects
        effects = _effects(self.booster, x)
        effects[:, -1] += start
        return effects

    def _elsewhere(self, trees: Sequence[tuple[int, ...]], columns: int) -> Native:
        text = lightgbm_text.over(self.trees, trees, columns)
        return partial(_effects, lgb.Booster(model_str=text))

    def dump(self) -> dict[str, bytes]:
        said = {"columns": list(self.columns), "fit_end": self.fit_end.isoformat()}
        return {FILE: pack(said), TREES: self.trees.encode()}


def _effects(booster: lgb.Booster, x: Floats) -> Floats:
    """What LightGBM itself says, shape (n, p + 1)."""
    said = booster.predict(x, pred_contrib=True, num_threads=1)
    return np.asarray(said, dtype=np.float64).reshape(len(x), -1)


def given(offset: Floats | None) -> Floats:
    """Return the offset; raise TypeError if there is none, as a hybrid cannot do without."""
    if offset is None:
        raise TypeError("a hybrid needs the benchmark's log variance as offset")
    return offset


def load(files: Mapping[str, bytes]) -> Boosted:
    """Build the model that `Boosted.dump` wrote.

    Raises
    ------
    ArtifactRefused
        If a file is missing or malformed, or the trees use other columns.
    """
    fields = Fields(files, FILE)
    columns = fields.texts("columns")
    if TREES not in files:
        raise ArtifactRefused(f"{TREES} is missing; the model has {sorted(files)}")
    try:
        return Boosted(columns, fields.session("fit_end"), files[TREES].decode("ascii"))
    except UnicodeDecodeError as error:
        raise ArtifactRefused(f"{TREES} is no text: {error}") from error


@dataclass(frozen=True, slots=True)
class LightgbmHybrid:
    """LightGBM with the gamma objective (QLIKE) started at the ln h of another model.

    The offset of a training row must be a forecast that could have been made then: with an
    in-sample offset the trees would learn to trust it too much.

    Attributes
    ----------
    rounds : int
        Number of trees.
    bagging_fraction, feature_fraction : float
        Share of rows, and of columns, that each tree sees.
    threads : int
        1 in walk-forwards, which run fits side by side; results do not depend on it.
    """

    columns: tuple[str, ...]
    rounds: int
    learning_rate: float
    num_leaves: int
    max_depth: int
    min_data_in_leaf: int
    bagging_fraction: float
    feature_fraction: float
    threads: int = 1

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Boosted:
        start = given(offset)
        design = design.take(self.columns)
        if len(design.y) < (needed := 2 * self.min_data_in_leaf):
            raise NotEnoughHistory(f"{len(design.y)} rows with label and offset, {needed} needed")
        params = self._params(seed)
        data = lgb.Dataset(
            design.x,
            label=design.y,
            init_score=start,
            feature_name=list(self.columns),
            params=params,
        )
        trees = lgb.train(params, data, num_boost_round=self.rounds).model_to_string()
        return Boosted(self.columns, design.fit_end, lightgbm_text.trim(trees))

    def _params(self, seed: int) -> dict[str, Any]:
        return {
            "objective": "gamma",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "min_data_in_leaf": self.min_data_in_leaf,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "feature_fraction": self.feature_fraction,
            "seed": seed,
            "num_threads": self.threads,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    load = staticmethod(load)
