"""Which colour a product's traffic goes to, and how to move it without losing a request."""

from riskcast.routing.base import SLOTS, Router
from riskcast.routing.nginx import NginxRouter, open_router

__all__ = ["SLOTS", "NginxRouter", "Router", "open_router"]
