"""The vocabulary: columns that more than one table has."""

from riskcast.tables.spec import Column, Kind

SYMBOL = Column("symbol", Kind.TEXT, "Market symbol.")
DATE = Column("date", Kind.DATE, "Session date of the exchange.")
OPEN = Column("open", Kind.FLOAT, "First price of the session.", nullable=True)
HIGH = Column("high", Kind.FLOAT, "Highest price of the session.", nullable=True)
LOW = Column("low", Kind.FLOAT, "Lowest price of the session.", nullable=True)
CLOSE = Column("close", Kind.FLOAT, "Last price of the session.")
ADJ_CLOSE = Column("adj_close", Kind.FLOAT, "Close adjusted for splits and dividends.")
VOLUME = Column("volume", Kind.FLOAT, "Shares or contracts traded.", low=0.0, nullable=True)
PRICE_BASIS = Column(
    "price_basis",
    Kind.TEXT,
    "How prices are quoted: adjusted, raw+adj (raw prices beside adj_close), index or spot.",
    choices=("adjusted", "raw+adj", "index", "spot"),
)
RV_5D = Column(
    "rv_5d",
    Kind.FLOAT,
    "Realised volatility of the next five sessions: sqrt of the sum of squared log returns, "
    "not annualised.",
    low=0.0,
    high=3.0,
)
PRODUCT = Column("product", Kind.TEXT, "Product the row belongs to.")
MODEL_VERSION = Column("model_version", Kind.TEXT, "Registry version that made the row.")
