"""What a router is: it knows where a product's traffic goes and moves it."""

from __future__ import annotations

from typing import Protocol

SLOTS = ("blue", "green")
SLOT_HEADER = "X-Riskcast-Slot"


class Router(Protocol):
    """Moves a product's traffic between the colours; no request is lost meanwhile."""

    def active(self, product: str) -> str:
        """Return the slot that the product's traffic is sent to."""
        ...

    def switch(self, product: str, slot: str) -> None:
        """Send the product's traffic to `slot` and see that it arrives.

        Switching to the active slot only sees that it answers.

        Raises
        ------
        StackError
            If answers do not come from `slot` in time; the traffic then goes where it went.
        """
        ...
