"""The pipeline monitor: what was promised, beside what came."""

from riskcast.pipelines.daily_risk import DRIFT, GUARDRAIL
from riskcast.pipelines.spec import Pipeline, Step
from riskcast.products import DAILY_RISK
from riskcast.tables import gold, output

MONITOR = Pipeline(
    "monitor",
    "Scores what was forecast, checks drift, freshness and skill, decides what follows.",
    schedule="30 23 * * 1-5",
    tags=("daily_risk", "monitoring"),
    steps=(
        Step(
            "score",
            "riskcast.jobs.monitor:score",
            reads=(
                gold.FEATURES_DAILY.as_of(),
                gold.LABELS_DAILY.as_of(),
                output.PREDICTIONS_DAILY.as_of(),
            ),
            writes=(output.LOSSES,),
            product=DAILY_RISK,
        ),
        Step(
            "check",
            "riskcast.jobs.monitor:check",
            reads=(
                gold.FEATURES_DAILY.as_of(),
                gold.LABELS_DAILY.as_of(),
                output.PREDICTIONS_DAILY.as_of(),
                output.LOSSES.as_of(),
                output.DECISIONS.as_of(),
                output.HEALTH.as_of(),
            ),
            writes=(output.HEALTH,),
            uses=("settings", "window"),
            product=DAILY_RISK,
        ),
        Step(
            "react",
            "riskcast.jobs.react:react",
            reads=(output.HEALTH.as_of(),),
            uses=("window", "announce"),
            emits=(DRIFT, GUARDRAIL),
        ),
    ),
)
