"""What a product is, in one sentence:

given `features` known at t, `candidates` forecast `target` over the next `horizon` sessions,
scored by `loss` against `benchmark` over the folds of `scheme`; what passes `gate` is served.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

from riskcast.core.errors import DeclarationError
from riskcast.tables import Table


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may win.

    Attributes
    ----------
    name : str
        Its name in tables and reports.
    engine : str
        Name in ``riskcast.models.ENGINES``.
    columns : tuple of str
        Feature columns it reads, in order.
    params : mapping
        Keyword arguments of the engine.
    offset : str
        Candidate whose walk-forward log variance is the starting point, for hybrids.
    lookback : int
        Earlier rows that a forecast reads beside its own; above 0 it cannot be served.
    partial : bool
        Whether columns may be unknown for years, so that a block can be tried from the day its
        data begin. Unknown values then count as the training mean.
    """

    name: str
    engine: str
    columns: tuple[str, ...]
    params: Mapping[str, float | int | str] = field(default_factory=lambda: MappingProxyType({}))
    offset: str = ""
    lookback: int = 0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Expanding-window evaluation.

    Attributes
    ----------
    min_train : int
        Sessions with a known label before the first forecast.
    refit_every : int
        Sessions between refits; the served model is refitted at least as often.
    """

    min_train: int
    refit_every: int


@dataclass(frozen=True, slots=True)
class Gate:
    """Bounds a new recipe must keep to replace the champion.

    Attributes
    ----------
    margin : float
        Improvement of the mean loss, as a share of reducible loss, that suffices alone.
    noise_floor : float
        Expected loss of a perfect forecast, subtracted to get reducible loss.
    alpha : float
        Level of the Diebold-Mariano tests.
    min_gain : float
        Smallest relative improvement that a significant test may promote.
    brier_slack : float
        Relative worsening of the Brier score that is tolerated.
    coverage : mapping of level to (low, high)
        Bounds of realised interval coverage.
    min_rows : int
        Scored sessions below which nothing is decided.
    """

    margin: float = 0.05
    noise_floor: float = 0.213
    alpha: float = 0.05
    min_gain: float = 0.005
    brier_slack: float = 0.01
    coverage: Mapping[int, tuple[float, float]] = field(
        default_factory=lambda: MappingProxyType({80: (0.74, 0.86), 95: (0.92, 0.98)})
    )
    min_rows: int = 500


@dataclass(frozen=True, slots=True)
class Product:
    """One forecast product.

    Attributes
    ----------
    naive : tuple of str
        Feature columns that are forecasts themselves; every candidate must beat them.
    benchmark, fallback_benchmark : str
        Candidate to beat; the fallback is used where the benchmark's columns are not real.
    pool : tuple of str
        Candidates whose log forecasts are averaged into the one that is served.
    thresholds : tuple of str
        Feature columns that bound calm and risk_off.
    regime_columns : tuple of str
        Columns of the pool that inform the regime probabilities beside the forecast; none leaves
        them to the forecast alone.
    definitions : mapping of name to (str, str)
        Other bounds of calm and risk_off that may be chosen by setting.
    challengers : tuple of Candidate
        Evaluated by the benchmark and the report only; none is in the pool.

    Raises
    ------
    DeclarationError
        If an input is no column of the features table, the benchmark, pool or an offset is no
        candidate, or a member of the pool cannot be served.
    """

    name: str
    doc: str
    features: Table
    labels: Table
    target: str
    horizon: int
    candidates: tuple[Candidate, ...]
    naive: Mapping[str, str]
    benchmark: str
    fallback_benchmark: str
    pool: tuple[str, ...]
    pool_name: str
    loss: str
    scheme: WalkForward
    gate: Gate
    thresholds: tuple[str, str]
    route: str = "/predict"
    regime_columns: tuple[str, ...] = ()
    definitions: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    challengers: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        columns = {column.name for column in self.features.every_column}
        names = {candidate.name for candidate in self.candidates}
        everyone = (*self.candidates, *self.challengers)
        asked = {c for candidate in everyone for c in candidate.columns}
        asked |= {*self.naive.values(), *self.thresholds, *self.regime_columns}
        asked |= {name for pair in self.definitions.values() for name in pair}
        if missing := sorted(asked - columns):
            raise DeclarationError(f"{self.name}: {self.features.name} has no column {missing}")
        offsets = {c.offset for c in everyone} - {"", "benchmark"}
        needed = {self.benchmark, self.fallback_benchmark, *self.pool, *offsets}
        if missing := sorted(needed - names):
            raise DeclarationError(f"{self.name}: {missing} is no candidate")
        if both := sorted(c.name for c in everyone if c.lookback and c.offset):
            raise DeclarationError(f"{self.name}: {both} have an offset and a lookback; choose one")
        if long := sorted(n for n in self.pool if self.candidate(n).lookback):
            raise DeclarationError(f"{self.name}: {long} need earlier rows and cannot be served")

    def candidate(self, name: str) -> Candidate:
        return next(c for c in self.candidates if c.name == name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every feature column that training or serving reads, whichever regimes are chosen."""
        inputs = [name for candidate in self.candidates for name in candidate.columns]
        bounds = [name for pair in (self.thresholds, *self.definitions.values()) for name in pair]
        return tuple(dict.fromkeys([*inputs, *self.naive.values(), *self.regime_columns, *bounds]))

    def with_challengers(self) -> Product:
        """Return the product with its challengers among the candidates."""
        return replace(self, candidates=(*self.candidates, *self.challengers), challengers=())

    def with_regimes(self, definition: str) -> Product:
        """Return the product with the bounds of that name; itself if it declares no choice.

        Raises
        ------
        DeclarationError
            If it declares others only.
        """
        if not self.definitions:
            return self
        if definition not in self.definitions:
            raise DeclarationError(
                f"{self.name} has no regimes {definition!r}; it has {', '.join(self.definitions)}"
            )
        return replace(self, thresholds=self.definitions[definition])

    @property
    def recipe(self) -> str:
        """Digest of what makes two models the same recipe.

        Columns, parameters, pool and its rule, scheme, bounds of the regimes.
        """
        said = [[c.name, c.engine, c.columns, dict(c.params), c.offset] for c in self.candidates]
        text = json.dumps(
            [
                [said, self.pool, self.pool_name, self.target, self.horizon, asdict(self.scheme)],
                [self.thresholds, self.regime_columns],
            ],
            sort_keys=True,
            default=str,
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]
