"""Silver: checked, on the exchange's sessions, point in time."""

from datetime import timedelta

from riskcast.tables import columns as col
from riskcast.tables.spec import Column, Kind, Layer, Table

MARKET_DAILY = Table(
    Layer.SILVER,
    "curated.market_daily",
    "Daily bars on exchange sessions, prices on the adjusted scale.",
    columns=(
        col.SYMBOL,
        col.DATE,
        col.OPEN,
        col.HIGH,
        col.LOW,
        col.CLOSE,
        col.ADJ_CLOSE,
        Column("ret", Kind.FLOAT, "Log return of adj_close over one session.", -1.5, 1.5, True),
        col.VOLUME,
        col.PRICE_BASIS,
    ),
    key=("symbol", "date"),
    time="date",
    fresh=timedelta(hours=80),
    published=True,
)

MACRO_ALIGNED = Table(
    Layer.SILVER,
    "curated.macro_release_aligned",
    "Macro values usable at each session: released before it, in the vintage known then.",
    columns=(
        col.DATE,
        Column("cpi_yoy", Kind.FLOAT, "CPI, change on the year, percent.", -20, 30, True),
        Column("ffr", Kind.FLOAT, "Federal funds rate, percent.", -2, 25, True),
        Column("slope_10y_2y", Kind.FLOAT, "10-year minus 2-year yield, points.", -10, 10, True),
        Column("ism_pmi", Kind.FLOAT, "ISM manufacturing PMI, index points.", 0, 100, True),
        Column("unemp", Kind.FLOAT, "Unemployment rate, percent.", 0, 40, True),
        Column(
            "cpi_yoy_z", Kind.FLOAT, "z-score of cpi_yoy on its last 120 months.", nullable=True
        ),
        Column(
            "ism_pmi_z", Kind.FLOAT, "z-score of ism_pmi on its last 120 months.", nullable=True
        ),
        Column(
            "unemp_rate_z", Kind.FLOAT, "z-score of unemp on its last 120 months.", nullable=True
        ),
        Column("ffr_real", Kind.FLOAT, "ffr minus cpi_yoy, percent.", nullable=True),
        Column("as_of_release", Kind.INSTANT, "Newest release used by the row.", nullable=True),
    ),
    key=("date",),
    time="date",
    published=True,
)
