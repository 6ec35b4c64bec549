"""Silver to gold: stateless, causal columns. Nothing here is fitted and nothing looks ahead."""

from riskcast.features.daily import build_features

__all__ = ["build_features"]
