"""What a router is: it knows where a product's traffic goes, moves it, and tells how it fared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from riskcast.core.errors import StackError
from riskcast.products import PRODUCTS

SLOTS = ("blue", "green")
OTHER = MappingProxyType({"blue": "green", "green": "blue"})
SLOT_HEADER, MODEL_HEADER = "X-Riskcast-Slot", "X-Riskcast-Model"


@dataclass(frozen=True, slots=True)
class Traffic:
    """How one slot fared.

    Attributes
    ----------
    requests : int
        Requests it was sent, those that another slot answered in its stead included.
    errors : int
        Of these, how many it answered with a 5xx or not at all.
    p95_seconds : float
        95th percentile of the time it took; 0 where nothing was sent.
    versions : mapping of str to int
        Model versions that answered, and how often; empty where the router cannot see them.
    """

    requests: int = 0
    errors: int = 0
    p95_seconds: float = 0.0
    versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class Router(Protocol):
    """Moves a product's traffic between the colours; no request is lost meanwhile.

    Every method raises StackError for a product or slot that does not exist.

    Attributes
    ----------
    copies : bool
        Whether it can copy requests to the idle slot at all.
    """

    copies: bool

    def active(self, product: str) -> str:
        """Return the slot that the product's traffic is sent to, but for a canary share."""
        ...

    def switch(self, product: str, slot: str) -> None:
        """Send all of the product's traffic to `slot` and see that it arrives.

        A canary share ends with the switch; the other colour's mirror stays as it is. Switching to
        the active slot ends the share and sees that the slot answers.

        Raises
        ------
        StackError
            If answers do not come from `slot` in time; the traffic then goes where it went.
        """
        ...

    def canary(self, product: str, percent: int) -> None:
        """Send that share of the product's requests to the idle slot, none with 0.

        Raises
        ------
        StackError
            If the share is no declared step, or is not seen to take effect in time; there is no
            share then.
        """
        ...

    def mirror(self, product: str, on: bool) -> None:
        """Copy the product's requests to the idle slot, whose answers nobody waits for, or stop.

        Raises
        ------
        StackError
            If the change is not seen to take effect in time; nothing is copied then.
        """
        ...

    def traffic(self, product: str, since: datetime) -> Mapping[str, Traffic]:
        """Return how each slot fared with the product's requests that ended at or after `since`.

        Copies are no traffic. Both slots are always told of.
        """
        ...


def check_slot(slot: str) -> None:
    """Raise StackError unless there is such a slot."""
    if slot not in SLOTS:
        raise StackError(f"no slot {slot!r}; there are {' and '.join(SLOTS)}")


def check_product(product: str) -> None:
    """Raise StackError unless there is such a product."""
    if product not in PRODUCTS:
        raise StackError(f"no product {product!r}; there are {', '.join(PRODUCTS)}")


def check_share(percent: int, steps: tuple[int, ...]) -> None:
    """Raise StackError unless the share is 0 or a declared step."""
    if percent not in (0, *steps):
        raise StackError(
            f"a canary share of {percent}% is no declared step; RISKCAST_CANARY_STEPS has "
            f"{', '.join(map(str, steps))}, and 0 ends the share"
        )
