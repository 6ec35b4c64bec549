"""Riskcast: market-risk forecasts every trading day, known as of an instant."""

__version__ = "0.1.0"
