"""XGBoost's correction of a linear forecast: grown differently enough to be worth averaging."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial

import numpy as np
import xgboost as xgb

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models import xgboost_json
from riskcast.models.artifact import Fields, pack
from riskcast.models.base import Design, Floats
from riskcast.models.lightgbm_hybrid import given
from riskcast.models.shap_tables import Native, ShapTables

FILE, TREES = "model.json", "trees.json"
PARITY = 1e-6  # XGBoost sums in single precision


@dataclass(frozen=True)
class XgboostTrees:
    """Fitted trees: ln h = offset + sum of trees.

    Trees compute in single precision, which near ln h = -7 leaves 1e-6; so the offset stays out
    of them and is added in double. `contributions` are TreeSHAP values, the offset in the base.

    Attributes
    ----------
    trees : str
        XGBoost's JSON.

    Raises
    ------
    ArtifactRefused
        If it is not what XGBoost writes for a plain gamma forest over the columns.
    """

    columns: tuple[str, ...]
    fit_end: date
    trees: str
    booster: xgb.Booster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        xgboost_json.check(self.trees, self.columns)
        object.__setattr__(self, "booster", _booster(self.trees))

    @cached_property
    def tables(self) -> ShapTables | None:
        """Built on first use: a walk-forward, which fits hundreds, never asks."""
        trees, columns = xgboost_json.splits(self.trees), len(self.columns)
        native = partial(_effects, self.booster)
        return ShapTables.build(trees, native, self._elsewhere, columns, parity=PARITY, single=True)

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:
        """Return ln h, shape (n,); raises TypeError if no offset is given."""
        raw = self.booster.predict(_rows(self.booster, x), output_margin=True)
        return np.asarray(raw, dtype=np.float64) + given(offset)

    def contributions(self, x: Floats, offset: Floats | None = None) -> Floats:
        start = given(offset)
        if self.tables is not None and np.isfinite(x).all():
            effects = self.tables.contributions(x)
        else:
            effects = _effects(self.booster, x)
        effects[:, -1] += start
        return effects

    def _elsewhere(self, trees: Sequence[tuple[int, ...]], columns: int) -> Native:
        return partial(_effects, _booster(xgboost_json.over(self.trees, trees, columns)))

    def dump(self) -> dict[str, bytes]:
        said = {"columns": list(self.columns), "fit_end": self.fit_end.isoformat()}
        return {FILE: pack(said), TREES: self.trees.encode()}


def _booster(trees: str) -> xgb.Booster:
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(trees.encode()))
    return booster


def _rows(booster: xgb.Booster, x: Floats) -> xgb.DMatrix:
    return xgb.DMatrix(x, feature_names=booster.feature_names, nthread=1)


def _effects(booster: xgb.Booster, x: Floats) -> Floats:
    """What XGBoost itself says, shape (n, p + 1)."""
    said = booster.predict(_rows(booster, x), pred_contribs=True)
    return np.asarray(said, dtype=np.float64)


def load(files: Mapping[str, bytes]) -> XgboostTrees:
    """Build the model that `XgboostTrees.dump` wrote.

    Raises
    ------
    ArtifactRefused
        If a file is missing or malformed, or the trees use other columns.
    """
    fields = Fields(files, FILE)
    if TREES not in files:
        raise ArtifactRefused(f"{TREES} is missing; the model has {sorted(files)}")
    try:
        text = files[TREES].decode("ascii")
    except UnicodeDecodeError as error:
        raise ArtifactRefused(f"{TREES} is no text: {error}") from error
    return XgboostTrees(fields.texts("columns"), fields.session("fit_end"), text)


@dataclass(frozen=True, slots=True)
class XgboostHybrid:
    """XGBoost with the gamma objective (QLIKE) started at the ln h of another model.

    The offset of a training row must be a forecast that could have been made then.

    Attributes
    ----------
    rounds : int
        Number of trees.
    min_child_weight : float
        Least sum of y/h, which is about the number of sessions, in a leaf.
    subsample, colsample : float
        Share of rows, and of columns, that each tree sees.
    """

    columns: tuple[str, ...]
    rounds: int
    learning_rate: float
    max_depth: int
    min_child_weight: float
    subsample: float
    colsample: float

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> XgboostTrees:
        start = given(offset)
        design = design.take(self.columns)
        if len(design.y) < (needed := 2 * int(self.min_child_weight)):
            raise NotEnoughHistory(f"{len(design.y)} rows with label and offset, {needed} needed")
        # Quantised: the exact values are not needed, and binning once makes growing fast.
        rows = xgb.QuantileDMatrix(
            design.x,
            label=design.y,
            base_margin=start,
            feature_names=list(self.columns),
            max_bin=64,
            nthread=1,
        )
        grown = xgb.train(self._params(seed), rows, num_boost_round=self.rounds)
        said = json.loads(bytes(grown.save_raw("json")))
        return XgboostTrees(self.columns, design.fit_end, xgboost_json.canonical(said))

    def _params(self, seed: int) -> dict[str, float | int | str]:
        return {
            "objective": "reg:gamma",
            "base_score": 1.0,
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "tree_method": "hist",
            "max_bin": 64,
            "seed": seed,
            "nthread": 1,
            "verbosity": 0,
        }

    load = staticmethod(load)
