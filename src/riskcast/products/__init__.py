"""What we promise: one specification per product. Standard library only."""

from riskcast.core.errors import DeclarationError
from riskcast.products.daily_risk import DAILY_RISK
from riskcast.products.spec import Candidate, Gate, Product, WalkForward

PRODUCTS: dict[str, Product] = {p.name: p for p in (DAILY_RISK,)}


def product(name: str) -> Product:
    """Return the product of that name; raise DeclarationError if there is none."""
    try:
        return PRODUCTS[name]
    except KeyError:
        raise DeclarationError(f"no product {name!r}; there are {', '.join(PRODUCTS)}") from None


__all__ = ["DAILY_RISK", "PRODUCTS", "Candidate", "Gate", "Product", "WalkForward", "product"]
