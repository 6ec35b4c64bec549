"""What runs: every pipeline, declared once. Standard library only."""

from riskcast.core.errors import DeclarationError
from riskcast.pipelines.daily_risk import FIT_REGIMES, MARKET_DAILY, TRAIN_DAILY_RISK
from riskcast.pipelines.monitor import MONITOR
from riskcast.pipelines.spec import Pipeline, Size, Step, ancestry, command, tables_written

PIPELINES: dict[str, Pipeline] = {
    p.name: p for p in (MARKET_DAILY, FIT_REGIMES, TRAIN_DAILY_RISK, MONITOR)
}

# From an empty lake to a served forecast, in this order.
FIRST_RUN = (MARKET_DAILY, TRAIN_DAILY_RISK)


def pipeline(name: str) -> Pipeline:
    """Return the pipeline of that name; raise DeclarationError if there is none."""
    try:
        return PIPELINES[name]
    except KeyError:
        names = ", ".join(PIPELINES)
        raise DeclarationError(f"no pipeline {name!r}; there are {names}") from None


__all__ = [
    "FIRST_RUN",
    "PIPELINES",
    "Pipeline",
    "Size",
    "Step",
    "ancestry",
    "command",
    "pipeline",
    "tables_written",
]
