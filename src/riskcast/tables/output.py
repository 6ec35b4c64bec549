"""Output: forecasts, scores, verdicts and the ledger of what served."""

from datetime import timedelta

from riskcast.tables import columns as col
from riskcast.tables.spec import Column, Kind, Layer, Table, Write


def _number(
    name: str,
    doc: str,
    low: float | None = None,
    high: float | None = None,
    *,
    nullable: bool = False,
) -> Column:
    return Column(name, Kind.FLOAT, doc, low, high, nullable=nullable)


PREDICTIONS_DAILY = Table(
    Layer.OUTPUT,
    "predictions_daily",
    "The published forecast of each session.",
    columns=(
        col.SYMBOL,
        col.DATE,
        _number("rv_5d_hat", "Forecast of rv_5d, not annualised.", 0.0, 3.0),
        _number("rv_5d_annualised", "The same times sqrt(252 / 5).", 0.0),
        _number("lo_50", "Lower end of the 50% interval of rv_5d.", 0.0, nullable=True),
        _number("hi_50", "Upper end of the 50% interval.", 0.0, nullable=True),
        _number("lo_80", "Lower end of the 80% interval of rv_5d.", 0.0),
        _number("hi_80", "Upper end of the 80% interval.", 0.0),
        _number("lo_95", "Lower end of the 95% interval.", 0.0),
        _number("hi_95", "Upper end of the 95% interval.", 0.0),
        _number("p_calm", "Probability that rv_5d stays below the calm threshold.", 0, 1.0000001),
        _number("p_transition", "Probability of the middle range.", 0, 1.0000001),
        _number("p_risk_off", "Probability above the risk-off threshold.", 0, 1.0000001),
        Column("top_drivers", Kind.TEXTS, "Features that move the forecast most, largest first."),
        Column("driver_effects", Kind.FLOATS, "Their contributions to the log variance."),
        Column("explanation", Kind.TEXT, "Why, in one plain sentence.", nullable=True),
        col.MODEL_VERSION,
        Column("slot", Kind.TEXT, "Role of the model: champion, challenger, previous, shadow."),
        Column("lineage", Kind.TEXT, "JSON: table versions, git sha, model digest."),
    ),
    key=("symbol", "date", "slot"),
    time="date",
    fresh=timedelta(hours=80),
    published=True,
)

PREDICTIONS_LOG = Table(
    Layer.OUTPUT,
    "predictions_log",
    "Every forecast that the API answered with, each once.",
    columns=(
        Column("request_id", Kind.TEXT, "Id of the request; a retry keeps it."),
        Column("client", Kind.TEXT, "Name of the API key."),
        Column("at", Kind.INSTANT, "UTC instant of the answer."),
        col.SYMBOL,
        Column("as_of_date", Kind.DATE, "Session forecast from."),
        Column(
            "mode",
            Kind.TEXT,
            "Where the features came from: online, replay or what_if.",
            choices=("online", "replay", "what_if"),
        ),
        _number("rv_5d_hat", "Forecast of rv_5d, not annualised.", 0.0, 3.0),
        _number("p_calm", "Probability of the calm regime.", 0, 1.0000001),
        _number("p_transition", "Probability of the middle regime.", 0, 1.0000001),
        _number("p_risk_off", "Probability of the risk-off regime.", 0, 1.0000001),
        col.MODEL_VERSION,
        Column("slot", Kind.TEXT, "Colour that answered.", choices=("blue", "green")),
        _number("latency_ms", "From the request's arrival to its record, milliseconds.", 0.0),
    ),
    key=("request_id", "client"),
    time="at",
    write=Write.APPEND,
)

CANDIDATE_FORECASTS = Table(
    Layer.OUTPUT,
    "candidate_forecasts",
    "Walk-forward forecast of each candidate and session, as the newest training made it.",
    columns=(
        col.PRODUCT,
        Column("recipe", Kind.TEXT, "Digest of the recipe that the candidate is part of."),
        Column("model", Kind.TEXT, "Candidate."),
        col.SYMBOL,
        col.DATE,
        Column("as_of", Kind.INSTANT, "Instant whose knowledge the training had."),
        Column("log_h", Kind.FLOAT, "ln of the forecast 5-session variance.", nullable=True),
        Column("fit_end", Kind.DATE, "Last session the fit saw."),
    ),
    key=("product", "recipe", "model", "symbol", "date"),
    time="date",
    write=Write.UPSERT,
)

LOSSES = Table(
    Layer.OUTPUT,
    "losses",
    "Loss of each model on each session, as the label matured.",
    columns=(
        col.PRODUCT,
        Column("evaluation", Kind.TEXT, "walk_forward for candidates, live for what served."),
        Column("recipe", Kind.TEXT, "Digest of the recipe; of live rows the registry version."),
        Column("model", Kind.TEXT, "Candidate, pool, benchmark or role."),
        col.SYMBOL,
        col.DATE,
        _number("variance_hat", "Forecast of the 5-session variance.", 0.0),
        _number("variance", "Realised 5-session variance, floored at 1e-8.", 0.0),
        _number("qlike", "QLIKE of the session.", 0.0),
        _number("sq_error", "Squared error on the scale of rv_5d.", 0.0),
    ),
    key=("product", "evaluation", "recipe", "model", "symbol", "date"),
    time="date",
    write=Write.UPSERT,
)

DECISIONS = Table(
    Layer.OUTPUT,
    "decisions",
    "Every verdict on a candidate, with the figures it rests on.",
    columns=(
        col.PRODUCT,
        Column("as_of", Kind.INSTANT, "Instant whose knowledge the candidate had."),
        Column("candidate", Kind.TEXT, "What was judged."),
        Column("recipe", Kind.TEXT, "Digest of code, columns, parameters and pool rule."),
        Column("verdict", Kind.TEXT, "promote or refuse.", choices=("promote", "refuse")),
        Column("reason", Kind.TEXT, "The deciding check in words."),
        Column("figures", Kind.TEXT, "JSON: every figure the verdict rests on."),
        Column("model_version", Kind.TEXT, "Registry version, when registered.", nullable=True),
    ),
    key=("product", "as_of", "recipe"),
    time="as_of",
    write=Write.UPSERT,
)

DEPLOYMENTS = Table(
    Layer.OUTPUT,
    "deployments",
    "Append-only ledger: what was live when, who moved it, why.",
    columns=(
        Column("event_id", Kind.TEXT, "Unique id of the event."),
        Column("at", Kind.INSTANT, "UTC instant it took effect."),
        col.PRODUCT,
        Column(
            "action",
            Kind.TEXT,
            "promote, rollback, move, canary, flip, abort, refuse, pin, unpin.",
        ),
        col.MODEL_VERSION,
        Column("previous", Kind.TEXT, "Version served before, empty at first.", nullable=True),
        Column("who", Kind.TEXT, "Person or job."),
        Column("why", Kind.TEXT, "Reason in words."),
    ),
    key=("event_id",),
    time="at",
    write=Write.APPEND,
)

ROLLOUTS = Table(
    Layer.OUTPUT,
    "rollouts",
    "Every transition of every rollout; the newest row of a rollout is its state.",
    columns=(
        col.PRODUCT,
        Column("number", Kind.INT, "Rollouts of a product are counted from 1.", low=1),
        Column("step", Kind.INT, "Transitions of the rollout before this one.", low=0),
        Column("action", Kind.TEXT, "What was asked for.", choices=("promote", "rollback", "move")),
        col.MODEL_VERSION,
        Column("previous", Kind.TEXT, "Champion when it was asked for.", nullable=True),
        Column("slot", Kind.TEXT, "Colour that loads the version.", choices=("blue", "green")),
        Column(
            "phase", Kind.TEXT, "idle, load, golden, mirror, canary, flip, bake, done, aborted."
        ),
        Column("share", Kind.INT, "Percent of the traffic during a canary.", low=0, high=100),
        Column("asked_at", Kind.INSTANT, "UTC instant of the request."),
        Column("at", Kind.INSTANT, "UTC instant the phase began."),
        Column("who", Kind.TEXT, "Person or job that asked."),
        Column("why", Kind.TEXT, "Reason in words."),
        Column("reason", Kind.TEXT, "Why it was aborted, empty otherwise."),
        Column("settled", Kind.BOOL, "Whether the end was made true of servers and registry."),
        Column("writer", Kind.TEXT, "Id of the write: of two at once, one is kept."),
    ),
    key=("product", "number", "step"),
    time="at",
    # Only the first row of a key is kept, on a folder and on S3 alike, so that of two processes
    # which start or move a rollout at once one is told that it lost.
    write=Write.APPEND,
)

HEALTH = Table(
    Layer.OUTPUT,
    "health",
    "What was checked after each session, against which bound, with which verdict.",
    columns=(
        col.PRODUCT,
        Column(
            "check",
            Kind.TEXT,
            "What was looked at; retrain and rollback are what follows from the others.",
            choices=(
                "freshness",
                "missing",
                "skew",
                "drift",
                "skill",
                "guardrail",
                "retrain",
                "rollback",
            ),
        ),
        Column("subject", Kind.TEXT, "Table, column, figure or model that was checked."),
        Column("at", Kind.INSTANT, "UTC instant whose knowledge the check had."),
        Column(
            "value", Kind.FLOAT, "What was found; null while there is too little.", nullable=True
        ),
        Column("threshold", Kind.FLOAT, "Bound it was held against.", nullable=True),
        Column("verdict", Kind.TEXT, "ok, warn or alarm.", choices=("ok", "warn", "alarm")),
        Column("why", Kind.TEXT, "The verdict in words."),
        Column("figures", Kind.TEXT, "JSON: every figure the verdict rests on."),
    ),
    key=("product", "check", "subject", "at"),
    time="at",
)

NOTICES = Table(
    Layer.OUTPUT,
    "notices",
    "Every mail that was sent: one for each thing that began or ended.",
    columns=(
        Column("key", Kind.TEXT, "What it is about; the same thing is told once."),
        Column("at", Kind.INSTANT, "UTC instant it was sent."),
        Column("kind", Kind.TEXT, "digest, drift, guardrail, deployment, failure or resolved."),
        Column("subject", Kind.TEXT, "Subject line."),
        Column("state", Kind.TEXT, "open until resolved.", choices=("open", "resolved", "told")),
        Column("message_id", Kind.TEXT, "Message-ID, as mail servers log it."),
    ),
    key=("key", "at"),
    time="at",
    write=Write.APPEND,
)
