"""Linear models of ln h: the HAR benchmarks and the ridge regression of ln y."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models.artifact import Fields, pack
from riskcast.models.base import Design, Floats
from riskcast.models.standardise import Standardiser

FILE = "model.json"
CLIP = 4.0  # z-scores of the shrunk models; OLS is left unclipped to be the textbook benchmark
UNCLIPPED = 0.0  # how a file says that z-scores are not clipped
ROWS_PER_COLUMN = 5
RANGE_MEMORY = 2500  # sessions, ten years


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted ln h = base + beta'z.

    Attributes
    ----------
    columns : tuple of str, length p
    fit_end : date
        Session at which the newest training label became known.
    standardiser : Standardiser
        Makes z of x.
    beta : ndarray, shape (p,)
        Effect of one standard deviation on ln h.
    base : float
        Forecast of ln h at the training mean, retransformation included.
    """

    columns: tuple[str, ...]
    fit_end: date
    standardiser: Standardiser
    beta: Floats
    base: float

    def log_variance(self, x: Floats, offset: Floats | None = None) -> Floats:  # noqa: ARG002
        return self.standardiser.transform(x) @ self.beta + self.base

    def contributions(self, x: Floats, offset: Floats | None = None) -> Floats:  # noqa: ARG002
        effects = np.empty((len(x), len(self.beta) + 1))
        np.multiply(self.standardiser.transform(x), self.beta, out=effects[:, :-1])
        effects[:, -1] = self.base
        return effects

    def dump(self) -> dict[str, bytes]:
        clip = self.standardiser.clip
        content = {
            "columns": list(self.columns),
            "fit_end": self.fit_end.isoformat(),
            "center": self.standardiser.center.tolist(),
            "scale": self.standardiser.scale.tolist(),
            "clip": clip if np.isfinite(clip) else UNCLIPPED,
            "beta": self.beta.tolist(),
            "base": self.base,
        }
        return {FILE: pack(content)}


def load(files: Mapping[str, bytes]) -> Linear:
    """Build the model that `Linear.dump` wrote.

    Raises
    ------
    ArtifactRefused
        If the file is missing, malformed or not the state of a linear model.
    """
    fields = Fields(files, FILE)
    columns = fields.texts("columns")
    scale = fields.numbers("scale", len(columns))
    clip = fields.number("clip")
    if not (scale > 0).all() or clip < 0:
        raise ArtifactRefused(f"{FILE}: 'scale' or 'clip' is not positive")
    center = fields.numbers("center", len(columns))
    return Linear(
        columns,
        fields.session("fit_end"),
        Standardiser(center, scale, np.inf if clip == UNCLIPPED else clip),
        fields.numbers("beta", len(columns)),
        fields.number("base"),
    )


def standardised(design: Design, clip: float) -> tuple[Standardiser, Floats]:
    """Return the standardiser of a training design and its z-scores, shape (n, p).

    Raises
    ------
    NotEnoughHistory
        If there are fewer than ROWS_PER_COLUMN rows per coefficient, intercept included.
    """
    n, p = design.x.shape
    if n < (needed := ROWS_PER_COLUMN * (p + 1)):
        raise NotEnoughHistory(f"{n} rows with a known label for {p} columns; {needed} are needed")
    standardiser = Standardiser.fit(design.x, clip)
    return standardiser, standardiser.transform(design.x)


def training_target(design: Design, range_weight: float) -> Floats:
    """Return the variance a fit aims at, shape (n,): `y`, or partly what the ranges measured.

    Five squared returns are a noisy measure of their variance, ranges a far less noisy one
    (Garman and Klass 1980); regressions on a better proxy have smaller errors (Patton and
    Sheppard 2009). Ranges are first put on the level of `y` by their means of the last
    RANGE_MEMORY rows, because they miss what happens between trades by an amount that drifts.
    """
    if range_weight == 0 or design.ranges is None:
        return design.y
    both = ~np.isnan(design.ranges)
    if not both.any():
        return design.y
    recent = np.flatnonzero(both)[-RANGE_MEMORY:]
    level = design.y[recent].mean() / design.ranges[recent].mean()
    mixed = (1 - range_weight) * design.y + range_weight * level * design.ranges
    return np.where(both, mixed, design.y)


def smearing(log_y: Floats, fitted: Floats) -> float:
    """Return ln of the smearing factor: mean of exp(residual), Duan (1983), JASA 78.

    Added to a forecast of ln y it makes exp() of it a forecast of the mean of y, whatever the
    distribution of the residuals. Without it QLIKE is about 15% worse.
    """
    return float(np.log(np.mean(np.exp(log_y - fitted))))


def ridge_log(design: Design, clip: float, alpha: float, range_weight: float = 0.0) -> Linear:
    """Fit ln y = a + b'z minimising squared error + alpha |b|^2, then smear.

    alpha 0 is ordinary least squares (minimum norm where columns are collinear). With
    `range_weight` the slopes aim at `training_target`, the level at y all the same.
    """
    standardiser, z = standardised(design, clip)
    log_y = np.log(training_target(design, range_weight))
    mean_z, mean_y = z.mean(axis=0), log_y.mean()
    zc, yc = z - mean_z, log_y - mean_y
    if alpha > 0:
        beta = np.linalg.solve(zc.T @ zc + alpha * np.eye(z.shape[1]), zc.T @ yc)
    else:
        beta = np.linalg.lstsq(zc, yc, rcond=None)[0]
    intercept = float(mean_y - mean_z @ beta)
    base = intercept + smearing(np.log(design.y), z @ beta + intercept)
    return Linear(design.columns, design.fit_end, standardiser, beta, base)


@dataclass(frozen=True, slots=True)
class LogOls:
    """Ordinary least squares on ln y: log-HAR (Corsi 2009) and log-HAR-VIX."""

    columns: tuple[str, ...]

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Linear:  # noqa: ARG002
        return ridge_log(design.take(self.columns), np.inf, 0.0)

    load = staticmethod(load)


@dataclass(frozen=True, slots=True)
class LogRidge:
    """Ridge regression of ln y on standardised, clipped columns.

    Attributes
    ----------
    alpha : float
        Penalty on the squared coefficients of z-scores, against the sum of squared errors.
    range_weight : float
        Share of range-based variance in what the fit aims at.
    """

    columns: tuple[str, ...]
    alpha: float
    range_weight: float = 0.0

    def fit(self, design: Design, *, seed: int, offset: Floats | None = None) -> Linear:  # noqa: ARG002
        return ridge_log(design.take(self.columns), CLIP, self.alpha, self.range_weight)

    load = staticmethod(load)
