"""Bronze: what sources said, as they said it."""

from riskcast.tables import columns as col
from riskcast.tables.spec import Column, Kind, Layer, Table, Write

RAW_MARKET = Table(
    Layer.BRONZE,
    "raw.market",
    "Daily bars per symbol as delivered; one row per restatement.",
    columns=(
        col.SYMBOL,
        col.DATE,
        col.OPEN,
        col.HIGH,
        col.LOW,
        col.CLOSE,
        col.ADJ_CLOSE,
        col.VOLUME,
        col.PRICE_BASIS,
    ),
    key=("symbol", "date"),
    time="date",
    vintages=True,
    write=Write.UPSERT,
)

RAW_MACRO = Table(
    Layer.BRONZE,
    "raw.macro",
    "Macro observations, one row per vintage.",
    columns=(
        Column("series_id", Kind.TEXT, "Identifier of the series, as in FRED where it is there."),
        Column("macro_value_date", Kind.DATE, "First day of the period the value is about."),
        Column("release_datetime", Kind.INSTANT, "UTC instant of the release of this vintage."),
        Column("value", Kind.FLOAT, "Value in the unit of the series."),
        Column("frequency", Kind.TEXT, "D daily, W weekly, M monthly.", choices=("D", "W", "M")),
    ),
    key=("series_id", "macro_value_date", "release_datetime"),
    time="macro_value_date",
    write=Write.UPSERT,
)

SESSIONS = Table(
    Layer.BRONZE,
    "sessions",
    "Sessions of the exchange.",
    columns=(
        Column("exchange", Kind.TEXT, "ISO 10383 code of the exchange."),
        Column("session", Kind.DATE, "Session date."),
        Column("open_at", Kind.INSTANT, "UTC instant of the open."),
        Column("close_at", Kind.INSTANT, "UTC instant of the close; early on half days."),
    ),
    key=("exchange", "session"),
    time="session",
    write=Write.UPSERT,
)

RELEASE_CALENDAR = Table(
    Layer.BRONZE,
    "release_calendar",
    "When figures and decisions are due. Schedules are public long before: a row is known 30 days "
    "ahead of its release, later only where it was announced later.",
    columns=(
        Column("event", Kind.TEXT, "cpi, nfp, ppi, ism_pmi, fomc_decision, ..."),
        Column(
            "ref_period",
            Kind.DATE,
            "First day of the period the release is about, where the schedule says.",
            nullable=True,
        ),
        Column("release_datetime", Kind.INSTANT, "UTC instant of the release."),
    ),
    key=("event", "release_datetime"),
    time="release_datetime",
    write=Write.UPSERT,
)

QUARANTINE = Table(
    Layer.BRONZE,
    "quarantine",
    "Rows a source delivered that cannot be true, kept out of the tables they were meant for.",
    columns=(
        Column("table", Kind.TEXT, "Table the row was meant for."),
        Column("row", Kind.TEXT, "JSON: the row as delivered."),
        Column("rule", Kind.TEXT, "Name of the rule it breaks."),
        Column("reason", Kind.TEXT, "The figures that break it, in words."),
        Column("at", Kind.INSTANT, "UTC end of the window that first met it."),
    ),
    key=("table", "row", "rule"),
    time="at",
    write=Write.APPEND,
)
