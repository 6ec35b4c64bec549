"""Engines that break the rules, for tests that must catch them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from riskcast.models.linear import LogOls


@dataclass(frozen=True)
class Overreaching(LogOls):
    """Says that its fit saw a week more than it was given."""

    def fit(self, design, *, seed, offset=None):
        fitted = super().fit(design, seed=seed, offset=offset)
        return replace(fitted, fit_end=fitted.fit_end + timedelta(days=7))
