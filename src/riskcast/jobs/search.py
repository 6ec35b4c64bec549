"""Search for the parameters of one candidate, inside the years set apart for tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskcast.core.errors import DeclarationError, NotEnoughHistory, SettingsError
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.losses import qlike
from riskcast.evaluation.walk_forward import SEED, Path, candidate_path, schedule
from riskcast.models.base import H_BOUNDS, Design, Floats
from riskcast.products import Candidate, Product

if TYPE_CHECKING:
    import optuna

# Figures are reported on later years too, which are worth something only while nothing is tuned
# on them.
SCORED_FROM, UNTIL = date(2004, 1, 1), date(2014, 12, 31)
PARTS = 8  # of the walk-forward; after each a hopeless trial may be given up
WARM_UP = 5  # trials before any is given up

Space = Callable[["optuna.Trial"], dict[str, float | int]]
Progress = Callable[[str, int, int], None]


def _ridge(trial: optuna.Trial) -> dict[str, float | int]:
    return {
        "alpha": trial.suggest_float("alpha", 1.0, 1000.0, log=True),
        "range_weight": trial.suggest_float("range_weight", 0.0, 1.0, step=0.25),
    }


def _gamma(trial: optuna.Trial) -> dict[str, float | int]:
    return {
        "alpha": trial.suggest_float("alpha", 1e-3, 1.0, log=True),
        "range_weight": trial.suggest_float("range_weight", 0.0, 1.0, step=0.25),
    }


def _lightgbm(trial: optuna.Trial) -> dict[str, float | int]:
    return {
        "rounds": trial.suggest_int("rounds", 30, 200, step=10),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 15),
        "max_depth": trial.suggest_int("max_depth", 2, 5),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 50, 400, step=50),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
    }


def _xgboost(trial: optuna.Trial) -> dict[str, float | int]:
    return {
        "rounds": trial.suggest_int("rounds", 30, 200, step=10),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 5),
        "min_child_weight": trial.suggest_float("min_child_weight", 50.0, 400.0),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
        "colsample": trial.suggest_float("colsample", 0.2, 1.0),
    }


SPACES: Mapping[str, Space] = {
    "log_ridge": _ridge,
    "gamma_glm": _gamma,
    "lightgbm_hybrid": _lightgbm,
    "xgboost_hybrid": _xgboost,
}


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of a search.

    Attributes
    ----------
    params : mapping
        Of the best trial.
    qlike, declared : float
        Mean QLIKE of the best trial, and with the parameters the product declares.
    trials, pruned : int
        In all, earlier runs of the study included.
    """

    params: Mapping[str, float | int]
    qlike: float
    declared: float
    trials: int
    pruned: int


def search(
    product: Product,
    name: str,
    features: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    storage: str,
    budget: float,
    cores: int = 1,
    progress: Progress | None = None,
) -> Found:
    """Search the parameters of candidate `name` until `budget` seconds have passed.

    The study is kept in `storage` (an SQLAlchemy URL, SQLite or Postgres) and goes on where an
    earlier run stopped. Nothing later than UNTIL is seen. Nothing is changed either: parameters
    that are better go into the product by hand, with the reason.

    Raises
    ------
    SettingsError
        If Optuna is not installed.
    DeclarationError
        If there is no such candidate, or nothing to search in its engine.
    NotEnoughHistory
        If no session lies in the years for tuning.
    """
    optuna = _optuna()
    design = upto(build_design(features, labels, needed_columns(product)), UNTIL)
    recipe = effective(product, design)
    candidate = next((c for c in recipe.candidates if c.name == name), None)
    if candidate is None or candidate.engine not in SPACES:
        known = [c.name for c in recipe.candidates if c.engine in SPACES]
        raise DeclarationError(f"{name!r} cannot be searched; choose one of {', '.join(known)}")
    scored = (design.dates >= np.datetime64(SCORED_FROM)) & ~np.isnan(design.y)
    if not scored.any():
        raise NotEnoughHistory(f"no session from {SCORED_FROM} to {UNTIL} in the tables")
    space = SPACES[candidate.engine]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as workers:
        offset = _offset(recipe, design, candidate.offset, workers)
        trial_of = _Trials(recipe, design, candidate, scored, offset, workers)
        declared = trial_of.loss(dict(candidate.params))
        study = optuna.create_study(
            study_name=f"{product.name}-{name}-{product.recipe}",
            storage=storage,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP, n_warmup_steps=1),
        )
        # A search that goes on must not draw again what an earlier run drew.
        study.sampler = optuna.samplers.TPESampler(seed=SEED + len(study.trials))

        def told(study: Any, _trial: object) -> None:
            if progress is not None:
                progress(f"{name} {study.best_value:.4f}", len(study.trials), len(study.trials))

        study.optimize(
            lambda trial: trial_of.loss(space(trial), trial), timeout=budget, callbacks=[told]
        )
    pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    return Found(study.best_params, study.best_value, declared, len(study.trials), len(pruned))


def upto(design: Design, last: date) -> Design:
    """Return the rows up to a session, without the labels that were not known by then."""
    rows = design.rows(design.dates <= np.datetime64(last))
    late = ~(rows.known <= np.datetime64(last))
    y, known = rows.y.copy(), rows.known.copy()
    y[late], known[late] = np.nan, np.datetime64("NaT")
    return replace(rows, y=y, known=known)


@dataclass(frozen=True, slots=True)
class _Trials:
    product: Product
    design: Design
    candidate: Candidate
    scored: NDArray[np.bool_]
    offset: Path | None
    workers: ThreadPoolExecutor

    def loss(self, params: Mapping[str, Any], trial: optuna.Trial | None = None) -> float:
        """Return the mean QLIKE of the walk-forward; a trial may be given up on the way."""
        candidate = replace(self.candidate, params={**self.candidate.params, **params})
        losses: list[Floats] = []
        folds = schedule(self.product, self.design)
        for step, part in enumerate(np.array_split(np.arange(len(folds)), PARTS)):
            own = [folds[i] for i in part]
            path, _ = candidate_path(
                candidate, self.design, own, offset=self.offset, workers=self.workers, seed=SEED
            )
            rows = np.isfinite(path.log_h) & self.scored
            h = np.clip(np.exp(path.log_h[rows]), *H_BOUNDS)
            losses.append(qlike(self.design.y[rows], h))
            if trial is not None and any(map(len, losses)):
                trial.report(float(np.concatenate(losses).mean()), step)
                if trial.should_prune():
                    raise _optuna().TrialPruned
        return float(np.concatenate(losses).mean())


def _offset(
    product: Product, design: Design, name: str, workers: ThreadPoolExecutor
) -> Path | None:
    if not name:
        return None
    folds = schedule(product, design, early=True)
    return candidate_path(product.candidate(name), design, folds, offset=None, workers=workers)[0]


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise SettingsError(
            "a search needs Optuna, which is not installed; add the extra: "
            "pip install 'riskcast[lab]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
