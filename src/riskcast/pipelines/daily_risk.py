"""The daily product's pipelines: market_daily, fit_regimes and train_daily_risk."""

from dataclasses import replace

from riskcast.pipelines.spec import Pipeline, Size, Step
from riskcast.products import DAILY_RISK
from riskcast.tables import bronze, gold, output, silver

MATERIALISE = Step(
    "materialise",
    "riskcast.jobs.materialise:materialise",
    uses=("settings", "window"),
    after=("publish",),
)

# In market_daily it makes fits that are due and missing; in fit_regimes, on its own schedule, it
# has them ready before. Both give the same rows.
FIT_REGIMES_DUE = Step(
    "fit_regimes",
    "riskcast.regimes.daily:fit_due",
    reads=(
        silver.MARKET_DAILY.as_of(),
        silver.MACRO_ALIGNED.as_of(),
        gold.REGIME_FITS.as_of(),
    ),
    writes=(gold.REGIME_FITS,),
    uses=("asset", "window"),
)

FORECAST = Step(
    "forecast",
    "riskcast.jobs.forecast:forecast",
    reads=(gold.FEATURES_DAILY.as_of(), output.PREDICTIONS_DAILY.as_of()),
    writes=(output.PREDICTIONS_DAILY,),
    uses=("registry", "lake", "window"),
    product=DAILY_RISK,
)

# Answers are known by the wall clock, not in the window of the run.
DRAIN_PREDICTIONS = Step(
    "drain_predictions",
    "riskcast.jobs.drain:drain_predictions",
    uses=("lake", "settings"),
    after=("forecast",),
    commits=(output.PREDICTIONS_LOG,),
)

PUBLISH = Step(
    "publish",
    "riskcast.jobs.publish:publish",
    uses=("lake", "settings", "window"),
    after=("forecast",),
)

MIRROR = Step(
    "mirror",
    "riskcast.jobs.mirror:mirror",
    uses=("lake", "settings", "window"),
    after=("forecast",),
)

MARKET_DAILY = Pipeline(
    "market_daily",
    "Bars and macro values in, features, labels and the session's forecast out.",
    schedule="5 22 * * 1-5",
    tags=("daily_risk", "data"),
    steps=(
        Step(
            "ingest_sessions",
            "riskcast.jobs.ingest:ingest_sessions",
            writes=(bronze.SESSIONS,),
            uses=("window",),
        ),
        Step(
            "ingest_market",
            "riskcast.jobs.ingest:ingest_market",
            writes=(bronze.RAW_MARKET, bronze.QUARANTINE),
            uses=("source", "lake", "window"),
        ),
        Step(
            "ingest_macro",
            "riskcast.jobs.ingest:ingest_macro",
            writes=(bronze.RAW_MACRO,),
            uses=("source", "lake", "window"),
        ),
        Step(
            "ingest_calendar",
            "riskcast.jobs.ingest:ingest_calendar",
            writes=(bronze.RELEASE_CALENDAR,),
            uses=("source", "lake", "window"),
        ),
        Step(
            "curate_market",
            "riskcast.transforms.market:curate_market",
            reads=(bronze.RAW_MARKET.as_of(all_vintages=True), bronze.SESSIONS.as_of()),
            writes=(silver.MARKET_DAILY,),
        ),
        Step(
            "curate_macro",
            "riskcast.transforms.macro:align_macro",
            reads=(bronze.RAW_MACRO.as_of(all_vintages=True), bronze.SESSIONS.as_of()),
            writes=(silver.MACRO_ALIGNED,),
        ),
        Step(
            "check",
            "riskcast.jobs.check:check",
            reads=(
                silver.MARKET_DAILY.as_of(),
                silver.MACRO_ALIGNED.as_of(),
                bronze.SESSIONS.as_of(),
            ),
            uses=("asset", "window"),
            product=DAILY_RISK,
        ),
        replace(FIT_REGIMES_DUE, after=("check",)),
        Step(
            "features",
            "riskcast.regimes.daily:build_features",
            reads=(
                silver.MARKET_DAILY.as_of(),
                silver.MACRO_ALIGNED.as_of(),
                gold.REGIME_FITS.as_of(),
            ),
            writes=(gold.FEATURES_DAILY,),
            uses=("asset", "window"),
            after=("check",),
        ),
        Step(
            "labels",
            "riskcast.evaluation.targets:build_labels",
            reads=(
                silver.MARKET_DAILY.as_of(),
                gold.FEATURES_DAILY.as_of(),
                bronze.SESSIONS.as_of(),
            ),
            writes=(gold.LABELS_DAILY,),
            uses=("asset",),
            product=DAILY_RISK,
        ),
        FORECAST,
        DRAIN_PREDICTIONS,
        replace(PUBLISH, after=("forecast", "curate_market", "curate_macro", "labels")),
        MATERIALISE,
        MIRROR,
    ),
)

TRAIN_DAILY_RISK = Pipeline(
    "train_daily_risk",
    "Walk-forward evaluation, gate, registration, promotion and a fresh forecast.",
    schedule="0 6 * * 6",
    tags=("daily_risk", "training"),
    steps=(
        Step(
            "evaluate",
            "riskcast.jobs.train:evaluate",
            reads=(gold.FEATURES_DAILY.retrieved(), gold.LABELS_DAILY.as_of()),
            writes=(output.LOSSES,),
            uses=("settings", "progress"),
            product=DAILY_RISK,
            size=Size.LARGE,
            from_start=True,
        ),
        Step(
            "gate",
            "riskcast.jobs.train:gate",
            reads=(
                gold.FEATURES_DAILY.retrieved(),
                gold.LABELS_DAILY.as_of(),
                output.LOSSES.as_of(),
                output.DECISIONS.as_of(),
            ),
            writes=(output.DECISIONS,),
            uses=("registry", "window"),
            product=DAILY_RISK,
        ),
        Step(
            "register",
            "riskcast.jobs.train:register",
            reads=(
                gold.FEATURES_DAILY.retrieved(),
                gold.LABELS_DAILY.as_of(),
                output.LOSSES.as_of(),
                output.DECISIONS.as_of(),
            ),
            writes=(output.DEPLOYMENTS,),
            uses=("registry", "lake", "window", "settings"),
            product=DAILY_RISK,
            size=Size.LARGE,
        ),
        replace(FORECAST, after=("register",)),
        PUBLISH,
        MIRROR,
    ),
)

FIT_REGIMES = Pipeline(
    "fit_regimes",
    "Gaussian mixtures that are due: one a quarter, matched to the one before.",
    schedule="0 5 * * 6",
    tags=("daily_risk", "training"),
    steps=(FIT_REGIMES_DUE,),
)
