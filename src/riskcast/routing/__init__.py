"""Which colour a product's traffic goes to, and how to move it without losing a request."""

from riskcast.routing.base import OTHER, SLOTS, Router, Traffic
from riskcast.routing.nginx import NginxRouter, open_router

__all__ = ["OTHER", "SLOTS", "NginxRouter", "Router", "Traffic", "open_router"]
