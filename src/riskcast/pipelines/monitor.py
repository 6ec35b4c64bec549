"""The pipeline monitor: what was promised, beside what came."""

from riskcast.pipelines.daily_risk import DRIFT
from riskcast.pipelines.spec import Pipeline, Step
from riskcast.products import DAILY_RISK
from riskcast.tables import gold, output, silver

MONITOR = Pipeline(
    "monitor",
    "Scores what was forecast, checks drift, freshness and skill, decides what follows.",
    on=(gold.FEATURES_DAILY.name,),
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
                silver.MARKET_DAILY.as_of(),
                silver.MACRO_ALIGNED.as_of(),
            ),
            writes=(output.HEALTH,),
            uses=("settings", "window", "asset"),
            product=DAILY_RISK,
        ),
        Step(
            "report",
            "riskcast.jobs.drift_report:report",
            reads=(
                gold.FEATURES_DAILY.as_of(),
                gold.LABELS_DAILY.as_of(),
                output.PREDICTIONS_DAILY.as_of(),
                output.HEALTH.as_of(),
            ),
            uses=("settings", "window"),
            product=DAILY_RISK,
        ),
        Step(
            "cloudwatch",
            "riskcast.jobs.cloudwatch:publish",
            reads=(output.HEALTH.as_of(), output.PREDICTIONS_DAILY.as_of()),
            uses=("settings", "window"),
            product=DAILY_RISK,
            live_only=True,
        ),
        Step(
            "notify",
            "riskcast.jobs.notify:notify",
            reads=(
                output.HEALTH.as_of(),
                output.PREDICTIONS_DAILY.as_of(),
                gold.LABELS_DAILY.as_of(),
            ),
            uses=("settings", "lake", "window"),
            product=DAILY_RISK,
            after=("report",),
            commits=(output.NOTICES,),
        ),
        # Waits for no mail, and no mail for it.
        Step(
            "guard",
            "riskcast.jobs.deploy:guard",
            reads=(output.HEALTH.as_of(),),
            uses=("registry", "lake", "settings", "window"),
            product=DAILY_RISK,
            commits=(output.ROLLOUTS, output.DEPLOYMENTS),
            live_only=True,
            retries=0,
        ),
        Step(
            "react",
            "riskcast.jobs.react:react",
            reads=(output.HEALTH.as_of(),),
            uses=("window", "announce"),
            emits=(DRIFT,),
        ),
    ),
)
