"""Which colour a product's traffic goes to, and how to move it without losing a request."""

from riskcast.core.settings import Settings
from riskcast.routing.base import OTHER, SLOTS, Router, Traffic

__all__ = ["OTHER", "SLOTS", "Router", "Traffic", "open_router"]


def open_router(settings: Settings) -> Router:
    """Return the router of the settings: nginx of this machine, or a load balancer of AWS."""
    if settings.router == "alb":
        from riskcast.routing.alb import alb_router

        return alb_router(settings)
    from riskcast.routing.nginx import nginx_router

    return nginx_router(settings)
