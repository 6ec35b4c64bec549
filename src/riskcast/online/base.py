"""What serves features: the newest row of an asset, with the instants it carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """Stored features of one asset and session.

    Attributes
    ----------
    values : mapping of feature name to float or None
        Every numeric column of the features table; None where nothing is known.
    known_at : datetime
        UTC instant at which the row could first be read: what staleness is measured from.
    simulated : tuple of str
        Symbols whose values on this row are simulated.
    """

    symbol: str
    session: date
    known_at: datetime
    values: Mapping[str, float | None]
    simulated: tuple[str, ...] = ()


class FeatureReader(Protocol):
    """Reads features for serving; safe to call from a background thread."""

    def latest(self, symbol: str) -> FeatureRow:
        """Return the newest row.

        Raises
        ------
        FeatureMissing
            If nothing is stored for the symbol.
        StackError
            If the store does not answer.
        """
        ...
