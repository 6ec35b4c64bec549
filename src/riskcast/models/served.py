"""The model that serves: the pool's members, their calibration, and nothing that runs code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from riskcast.core.errors import ArtifactRefused, FeatureMissing
from riskcast.core.load import load
from riskcast.core.turns import take_turn
from riskcast.models import ENGINES
from riskcast.models.artifact import Fields, pack
from riskcast.models.base import H_BOUNDS, Floats, Forecasts, Servable
from riskcast.models.calibration import MIN_RATIOS, STILL, Calibration
from riskcast.models.pool import Member, Pool, among
from riskcast.models.regime_logits import FILE as LOGITS
from riskcast.models.regime_logits import RegimeLogits

MANIFEST = "model.json"
FORMAT = 1
LOG_BOUNDS = np.log(H_BOUNDS)
ADDITIVE = 1e-6  # contributions must sum to ln h this closely


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A pool of fitted candidates with the calibration of their mean.

    Attributes
    ----------
    columns : tuple of str, length p
        Features to hand over, in this order.
    thresholds : tuple of str
        Feature columns with the lower and upper regime threshold of rv_5d.
    members : tuple of Member
        An offset stands before the members that start from it.
    fit_end : date
        Newest session any part saw; only sessions from then on may be forecast.
    logits : RegimeLogits, optional
        What features add to the regime probabilities; without it the calibration speaks alone.
    needed : tuple of str
        Every feature it cannot answer without.

    Raises
    ------
    ArtifactRefused
        If the logits read a feature that is no column.
    """

    product: str
    recipe: str
    columns: tuple[str, ...]
    thresholds: tuple[str, str]
    members: tuple[Member, ...]
    calibration: Calibration
    fit_end: date
    logits: RegimeLogits | None = None
    needed: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _pool: Pool = field(init=False, repr=False, compare=False)
    _regimes: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        needed = tuple(dict.fromkeys((*self.columns, *self.thresholds)))
        object.__setattr__(self, "needed", needed)
        object.__setattr__(self, "_pool", Pool(self.members, self.columns))
        read = () if self.logits is None else self.logits.columns
        if unknown := sorted(set(read) - set(self.columns)):
            raise ArtifactRefused(f"{LOGITS} reads {unknown}, which are no columns")
        object.__setattr__(self, "_regimes", among(read, self.columns))

    def log_variance(self, x: Floats) -> Floats:
        """Return the pool's ln h before clipping, shape (n,), from the members' own forecasts."""
        return self._pool.log_variance(x)

    def forecast(self, x: Floats, thresholds: Floats) -> Forecasts:
        """Forecast n sessions from features, shape (n, p), and thresholds, shape (n, 2).

        Raises
        ------
        FeatureMissing
            If any value is NaN or infinite; names the columns.
        """
        self._require(x, self.columns)
        self._require(thresholds, self.thresholds)
        contributions = self._pool.contributions(x)
        # The ufuncs themselves: np.clip checks its arguments for longer than a row takes.
        log_h = np.minimum(np.maximum(contributions.sum(axis=1), LOG_BOUNDS[0]), LOG_BOUNDS[1])
        probs = self.calibration.regime_probs(log_h, thresholds)
        if self.logits is not None:
            probs = self.logits.blend(probs, x[:, self._regimes], log_h, thresholds)
        return Forecasts(
            variance=np.exp(log_h),
            intervals=self.calibration.intervals(log_h),
            regime_probs=probs,
            contributions=contributions,
        )

    def _require(self, values: Floats, names: tuple[str, ...]) -> None:
        if values.shape[1] != len(names):
            raise FeatureMissing(f"{self.product}: {values.shape[1]} values given for {names}")
        if not np.isfinite(values).all():
            missing = [n for n, v in zip(names, values.T, strict=True) if not np.isfinite(v).all()]
            raise FeatureMissing(f"{self.product}: no value of {', '.join(missing)}")

    def dump(self) -> dict[str, bytes]:
        """Return ``model.json``, ``{member}.{file}`` of each member, ``regimes.json`` if any."""
        files = {f"{m.name}.{n}": b for m in self.members for n, b in m.fitted.dump().items()}
        if self.logits is not None:
            files |= self.logits.dump()
        manifest = {
            "format": FORMAT,
            "product": self.product,
            "recipe": self.recipe,
            "columns": list(self.columns),
            "thresholds": list(self.thresholds),
            "fit_end": self.fit_end.isoformat(),
            "members": [
                {"name": m.name, "engine": m.engine, "weight": m.weight, "offset": m.offset}
                for m in self.members
            ],
            "ratios": self.calibration.ratios.tolist(),
            "shifts": self.calibration.shifts.ravel().tolist(),
            "sha256": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
        }
        return {MANIFEST: pack(manifest), **files}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> ServedModel:
        """Build the model that `dump` wrote; forecasts are the same to the bit.

        Raises
        ------
        ArtifactRefused
            If a file is missing, unknown, altered or malformed, or an engine is unknown.
        """
        manifest = Fields(files, MANIFEST)
        if manifest.number("format") != FORMAT:
            raise ArtifactRefused(f"{MANIFEST} has format {manifest.content['format']}, not 1")
        _check_digests(files, manifest)
        columns, bounds = manifest.texts("columns"), manifest.texts("thresholds")
        if len(bounds) != 2:
            raise ArtifactRefused(f"{MANIFEST}: 'thresholds' are {bounds}, not two columns")
        members = _load_members(files, manifest, columns)
        fit_end = manifest.session("fit_end")
        logits = RegimeLogits.load(files) if LOGITS in files else None
        parts = {m.name: m.fitted.fit_end for m in members}
        parts |= {} if logits is None else {LOGITS: logits.fit_end}
        if newer := [name for name, saw in parts.items() if saw > fit_end]:
            raise ArtifactRefused(f"{MANIFEST}: {newer} saw more than fit_end {fit_end} says")
        ratios = manifest.numbers("ratios")
        if len(ratios) < MIN_RATIOS or (np.diff(ratios) < 0).any():
            raise ArtifactRefused(f"{MANIFEST}: 'ratios' are too few or not ascending")
        # Models of earlier releases have none.
        shifts = STILL
        if "shifts" in manifest.content:
            shifts = manifest.numbers("shifts", STILL.size).reshape(STILL.shape)
        return cls(
            manifest.text("product"),
            manifest.text("recipe"),
            columns,
            (bounds[0], bounds[1]),
            members,
            Calibration(ratios, shifts),
            fit_end,
            logits,
        )


def _check_digests(files: Mapping[str, bytes], manifest: Fields) -> None:
    said = manifest.content.get("sha256")
    said = said if isinstance(said, dict) else {}
    found = {n: hashlib.sha256(b).hexdigest() for n, b in files.items() if n != MANIFEST}
    if wrong := sorted(n for n in {*said, *found} if said.get(n) != found.get(n)):
        raise ArtifactRefused(f"{MANIFEST}: files {wrong} are missing, unknown or altered")


def _load_members(
    files: Mapping[str, bytes], manifest: Fields, columns: tuple[str, ...]
) -> tuple[Member, ...]:
    members: dict[str, Member] = {}
    for fields in manifest.objects("members"):
        name, engine, offset = fields.text("name"), fields.text("engine"), fields.text("offset")
        if name in members or engine not in ENGINES or (offset and offset not in members):
            raise ArtifactRefused(
                f"{MANIFEST}: member {name!r} is there twice, its engine {engine!r} is unknown, "
                f"or its offset {offset!r} does not stand before it"
            )
        own = {n.removeprefix(f"{name}."): b for n, b in files.items() if n.startswith(f"{name}.")}
        fitted: Servable = load(ENGINES[engine]).load(own)
        if unknown := sorted(set(fitted.columns) - set(columns)):
            raise ArtifactRefused(f"{MANIFEST}: {name!r} reads {unknown}, which are no columns")
        members[name] = Member(name, engine, fields.number("weight"), offset, fitted)
        take_turn()
    weights = [member.weight for member in members.values()]
    if not weights or min(weights) < 0 or abs(sum(weights) - 1) > ADDITIVE:
        raise ArtifactRefused(f"{MANIFEST}: weights {weights} are not shares of 1")
    return tuple(members.values())
