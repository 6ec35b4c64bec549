"""The daily product's pipelines, from the market's close to a forecast and to what serves it."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from riskcast.pipelines.spec import RELEASES, SESSION_CLOSE, Pipeline, Size, Step
from riskcast.products import DAILY_RISK
from riskcast.tables import bronze, gold, output, silver

# Announced by monitoring when the market has left what the champion was fitted to.
DRIFT = "drift"

INGEST_SESSIONS = Step(
    "ingest_sessions",
    "riskcast.jobs.ingest:ingest_sessions",
    writes=(bronze.SESSIONS,),
    uses=("window",),
)

INGEST_MACRO = Step(
    "ingest_macro",
    "riskcast.jobs.ingest:ingest_macro",
    writes=(bronze.RAW_MACRO,),
    uses=("source", "lake", "window"),
)

INGEST_CALENDAR = Step(
    "ingest_calendar",
    "riskcast.jobs.ingest:ingest_calendar",
    writes=(bronze.RELEASE_CALENDAR,),
    uses=("source", "lake", "window"),
)

# What the timetables read, renewed with the calendar itself.
SNAPSHOTS = Step(
    "snapshots",
    "riskcast.jobs.snapshots:write_snapshots",
    reads=(bronze.RELEASE_CALENDAR.as_of(),),
    uses=("settings", "source"),
)

CURATE_MACRO = Step(
    "curate_macro",
    "riskcast.transforms.macro:align_macro",
    reads=(bronze.RAW_MACRO.as_of(all_vintages=True), bronze.SESSIONS.as_of()),
    writes=(silver.MACRO_ALIGNED,),
    emits=(silver.MACRO_ALIGNED.name,),
)

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
    schedule=SESSION_CLOSE,
    tags=("daily_risk", "data"),
    # From 22:05 UTC to 08:00 New York of the next day in summer; an hour earlier in winter.
    due=timedelta(hours=13, minutes=55),
    steps=(
        INGEST_SESSIONS,
        Step(
            "ingest_market",
            "riskcast.jobs.ingest:ingest_market",
            writes=(bronze.RAW_MARKET, bronze.QUARANTINE),
            uses=("source", "lake", "window"),
        ),
        INGEST_MACRO,
        INGEST_CALENDAR,
        SNAPSHOTS,
        Step(
            "curate_market",
            "riskcast.transforms.market:curate_market",
            reads=(bronze.RAW_MARKET.as_of(all_vintages=True), bronze.SESSIONS.as_of()),
            writes=(silver.MARKET_DAILY,),
        ),
        CURATE_MACRO,
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
        # Gold is announced once all of the window is written and this run's own forecast stands:
        # a consumer that forecasts beside it would publish a second one.
        replace(
            PUBLISH,
            after=("forecast", "curate_market", "curate_macro", "labels"),
            emits=(gold.FEATURES_DAILY.name,),
        ),
        MATERIALISE,
        MIRROR,
    ),
)

# At the instant itself, not at the end of the day: what was released is in the lake, with its
# vintage, when the next session's features ask for it.
MACRO_RELEASE = Pipeline(
    "macro_release",
    "The figures of a release, with their vintages, aligned to sessions.",
    schedule=f"{RELEASES} cpi nfp ppi ism_pmi fomc_decision",
    tags=("daily_risk", "data"),
    steps=(INGEST_SESSIONS, INGEST_MACRO, INGEST_CALENDAR, SNAPSHOTS, CURATE_MACRO),
)

# Forecasts of what gold holds beyond market_daily: after features were mended or rebuilt by hand.
# In market_daily itself the forecast follows the features in the same run, so that a backfill of
# a day gives the whole day.
FORECAST_DAILY = Pipeline(
    "forecast_daily",
    "Forecasts for sessions whose features are new.",
    tags=("daily_risk",),
    on=(gold.FEATURES_DAILY.name,),
    steps=(FORECAST, PUBLISH, MIRROR),
)

TRAIN_DAILY_RISK = Pipeline(
    "train_daily_risk",
    "Walk-forward evaluation, gate, registration, promotion and a fresh forecast.",
    schedule="0 6 * * 6",
    on=(DRIFT,),
    tags=("daily_risk", "training"),
    steps=(
        # From the lake itself: the next step retrieves the same rows and refuses others.
        Step(
            "walk",
            "riskcast.jobs.evaluate:walk",
            reads=(gold.FEATURES_DAILY.as_of(), gold.LABELS_DAILY.as_of()),
            writes=(output.CANDIDATE_FORECASTS,),
            uses=("settings", "window", "progress"),
            product=DAILY_RISK,
            size=Size.LARGE,
            over=tuple(candidate.name for candidate in DAILY_RISK.candidates),
            from_start=True,
        ),
        Step(
            "evaluate",
            "riskcast.jobs.evaluate:evaluate",
            reads=(
                gold.FEATURES_DAILY.retrieved(),
                gold.LABELS_DAILY.as_of(),
                output.CANDIDATE_FORECASTS.as_of(),
            ),
            writes=(output.LOSSES,),
            uses=("window",),
            product=DAILY_RISK,
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
        # Before register, which fails on a refusal.
        Step(
            "tell",
            "riskcast.jobs.notify:tell",
            reads=(output.DECISIONS.as_of(),),
            uses=("settings", "lake", "window"),
            product=DAILY_RISK,
            commits=(output.NOTICES,),
            live_only=True,
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
            uses=("registry", "lake", "window", "settings"),
            commits=(output.ROLLOUTS, output.DEPLOYMENTS),
            product=DAILY_RISK,
            size=Size.LARGE,
            live_only=True,
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

WHO = MappingProxyType({"who": "Who asks.", "why": "Reason, kept in the ledger."})

# By hand only: an alias or a stage that somebody moves is carried out by `riskcast rollout watch`
# within seconds, so an event of it would come too late and find nothing to do.
DEPLOY = Pipeline(
    "deploy",
    "Roll out a version: load, golden requests, mirror, canary, flip, bake.",
    tags=("daily_risk", "rollout"),
    params=MappingProxyType({"version": "Version; empty: the newest that passed the gate.", **WHO}),
    steps=(
        Step(
            "deploy",
            "riskcast.jobs.deploy:deploy",
            uses=("registry", "lake", "settings", "params"),
            product=DAILY_RISK,
            commits=(output.ROLLOUTS, output.DEPLOYMENTS),
            live_only=True,
            retries=0,
        ),
    ),
)

ROLLBACK = Pipeline(
    "rollback",
    "Return to the champion before.",
    tags=("daily_risk", "rollout"),
    params=WHO,
    steps=(
        Step(
            "rollback",
            "riskcast.jobs.deploy:rollback",
            uses=("registry", "lake", "settings", "params"),
            product=DAILY_RISK,
            commits=(output.ROLLOUTS, output.DEPLOYMENTS),
            live_only=True,
            retries=0,  # a second one would take back what served before that
        ),
    ),
)
