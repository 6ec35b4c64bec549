"""A vendor whose adjusted closes change after every dividend, as real ones' do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from riskcast.core.window import Window
from riskcast.lake.arrow import empty
from riskcast.sources.base import known_in
from riskcast.tables.bronze import RAW_MACRO
from riskcast.transforms.sessions import known_at, xnys_sessions

FIRST, LAST = date(2018, 1, 2), date(2018, 4, 20)
SESSIONS = xnys_sessions(FIRST, LAST)["session"].to_list()
# Cash a share pays at each ex-date; 2-for-1 is told as a dividend of half the price.
DIVIDENDS: Mapping[str, Mapping[date, float]] = {
    "SPY": {date(2018, 3, 16): 0.04, date(2018, 4, 18): 0.05},
    "TLT": {date(2018, 2, 1): 0.01, date(2018, 3, 1): 0.01, date(2018, 4, 2): 0.5},
    "VIX": {},
}
BASIS = {"SPY": "raw+adj", "TLT": "adjusted", "VIX": "index"}


class RestatingVendor:
    """Adjusts every price for the ex-dates it knows of when asked: those up to the window's end.

    Parameters
    ----------
    wrong : mapping of (symbol, date) to close
        Closes told wrongly as long as no later session is known; corrected afterwards.
    """

    name = "restating"

    def __init__(self, wrong: Mapping[tuple[str, date], float] | None = None) -> None:
        self.wrong = wrong or {}
        rng = np.random.default_rng(11)
        n = len(SESSIONS)
        self.totals = {s: np.cumsum(0.01 * rng.standard_normal(n)) for s in BASIS}

    def total_return(self, symbol: str) -> list[float]:
        """The true log return of each session but the first."""
        return np.diff(self.totals[symbol]).tolist()

    def fetch_market(self, window: Window) -> pl.DataFrame:
        rows = pl.concat([self._bars(symbol, window.end) for symbol in BASIS])
        return known_in(rows, window)

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        return empty(RAW_MACRO).drop("ingested_at")

    def newest(self) -> str:
        return str(LAST)

    def _bars(self, symbol: str, asked_at: datetime) -> pl.DataFrame:
        total = 100.0 * np.exp(self.totals[symbol])
        known = known_at(pl.Series(SESSIONS)).to_list()
        # Close as traded: what was paid out before the session is gone from the price.
        paid = {day: share for day, share in DIVIDENDS[symbol].items()}
        left = np.array([np.prod([1 - s for d, s in paid.items() if d <= day]) for day in SESSIONS])
        traded = total * left
        for n, day in enumerate(SESSIONS):
            following = known[n + 1] if n + 1 < len(known) else datetime.max.replace(tzinfo=UTC)
            if (symbol, day) in self.wrong and asked_at < following:
                traded[n] = self.wrong[(symbol, day)]
        told = [d for d in paid if known_at(pl.Series([d]))[0] <= asked_at]
        factor = np.array([np.prod([1 - paid[d] for d in told if d > day]) for day in SESSIONS])
        adjusted = traded * factor
        shown = traded if BASIS[symbol] == "raw+adj" else adjusted
        return pl.DataFrame(
            {
                "symbol": [symbol] * len(SESSIONS),
                "date": SESSIONS,
                "open": shown * 0.999,
                "high": shown * 1.004,
                "low": shown * 0.995,
                "close": shown,
                "adj_close": adjusted,
                "volume": [1e6] * len(SESSIONS),
                "price_basis": [BASIS[symbol]] * len(SESSIONS),
                "known_at": pl.Series(known, dtype=pl.Datetime("us", "UTC")),
                "source": ["made-up"] * len(SESSIONS),
            }
        )
