"""What runs: every pipeline, declared once. Standard library only."""

from riskcast.core.errors import DeclarationError
from riskcast.pipelines.daily_risk import (
    DEPLOY,
    FIT_REGIMES,
    FORECAST_DAILY,
    MACRO_RELEASE,
    MARKET_DAILY,
    ROLLBACK,
    TRAIN_DAILY_RISK,
)
from riskcast.pipelines.monitor import MONITOR
from riskcast.pipelines.spec import (
    RELEASES,
    SESSION_CLOSE,
    Pipeline,
    Size,
    Step,
    ancestry,
    command,
    failure_key,
    manifest_key,
    tables_written,
)

PIPELINES: dict[str, Pipeline] = {
    p.name: p
    for p in (
        MARKET_DAILY,
        MACRO_RELEASE,
        FORECAST_DAILY,
        FIT_REGIMES,
        TRAIN_DAILY_RISK,
        MONITOR,
        DEPLOY,
        ROLLBACK,
    )
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
    "MARKET_DAILY",
    "MONITOR",
    "PIPELINES",
    "RELEASES",
    "SESSION_CLOSE",
    "TRAIN_DAILY_RISK",
    "Pipeline",
    "Size",
    "Step",
    "ancestry",
    "command",
    "failure_key",
    "manifest_key",
    "pipeline",
    "tables_written",
]
