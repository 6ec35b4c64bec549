"""Live daily bars: which instruments, and what a vendor's answer must hold before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Protocol

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import SourceMissing
from riskcast.core.window import Window
from riskcast.sources.cache import Cache
from riskcast.sources.checks import settled
from riskcast.sources.releases import is_federal_holiday
from riskcast.tables.bronze import RAW_MARKET
from riskcast.tables.gold import SECTORS
from riskcast.transforms.sessions import FIRST, known_at, xnys_sessions

BAR = pl.Schema(
    {
        "date": pl.Date(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "adj_close": pl.Float64(),
        "volume": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something with daily bars.

    Attributes
    ----------
    kind : {"etf", "index", "spot"}
    complete_from : date or None
        First session from which every session of the exchange must have a bar. None for what
        trades on another market, which keeps its own holidays.
    """

    kind: str
    complete_from: date | None = None


INSTRUMENTS: Mapping[str, Instrument] = {
    "SPY": Instrument("etf", date(1993, 1, 29)),
    **dict.fromkeys(SECTORS, Instrument("etf", date(1998, 12, 22))),
    "TLT": Instrument("etf", date(2002, 7, 30)),
    "HYG": Instrument("etf", date(2007, 4, 11)),
    "GLD": Instrument("etf", date(2004, 11, 18)),
    "USO": Instrument("etf", date(2006, 4, 10)),
    "UUP": Instrument("etf", date(2007, 3, 1)),
    # The calendar does not know every closure before 1970.
    "GSPC": Instrument("index", date(1970, 1, 2)),
    # The exchange's own files lack four sessions of the 1990s.
    "VIX": Instrument("index", date(2000, 1, 3)),
    "VIX3M": Instrument("index", date(2009, 9, 18)),
    "DXY": Instrument("index"),
    "WTI": Instrument("spot"),
}


class MarketVendor(Protocol):
    """A vendor of daily bars.

    Attributes
    ----------
    tickers : mapping
        Our symbol to the vendor's, for what it offers.
    etf_basis : str
        `price_basis` of its exchange-traded funds.
    history_from : date
        Session its history begins with, or an earlier day.
    """

    name: str
    tickers: Mapping[str, str]
    etf_basis: str
    history_from: date

    def bars(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return rows of `BAR` from `first` to `last`; none where the vendor has none.

        Raises
        ------
        SourceError
            If it cannot be asked, refuses, or sends anything else than bars.
        """
        ...


def fetch_bars(vendor: MarketVendor, window: Window, cache: Cache) -> pl.DataFrame:
    """Return rows of `raw.market` with known_at and source, for every instrument offered.

    Bars are kept one instrument at a time, so that a later try asks only for the rest. A session
    that has not closed yet has no bar.

    Raises
    ------
    SourceMissing
        If an instrument lacks a session inside the window; all that lack one are named, and
        nothing is handed over.
    """
    due = _due(window)
    offered = [symbol for symbol in INSTRUMENTS if symbol in vendor.tickers]
    if not due:
        return _rows(vendor, offered[0], empty_bars(), window)
    frames, missing = [], []
    for symbol in offered:
        bars = cache.get(symbol, partial(vendor.bars, symbol, due[0], due[-1]))
        rows = _rows(vendor, symbol, bars, window)
        if lacking := _lacking(vendor, symbol, set(rows["date"]), due):
            missing.append(f"{symbol} on {_days(lacking)}")
            cache.drop(symbol)
        frames.append(rows)
    if missing:
        raise SourceMissing(
            f"{vendor.name} has no bar of {'; '.join(missing)}. Nothing was written: run the step "
            "again when the vendor has them, or set RISKCAST_MARKET to another"
        )
    cache.clear()
    return pl.concat(frames).sort(RAW_MARKET.key)


def _due(window: Window) -> list[date]:
    """Return the sessions whose bars become known in the window and by now, ascending."""
    end = min(window.end, wall())
    first = max(FIRST, window.start.date() - timedelta(days=1))
    known = pl.col("known_at")
    sessions = xnys_sessions(first, max(first, end.date()))
    return sessions.filter((known > window.start) & (known <= end))["session"].to_list()


def _rows(vendor: MarketVendor, symbol: str, bars: pl.DataFrame, window: Window) -> pl.DataFrame:
    kind = INSTRUMENTS[symbol].kind
    rows = bars.select(
        pl.lit(symbol).alias("symbol"),
        *BAR,
        pl.lit(vendor.etf_basis if kind == "etf" else kind).alias("price_basis"),
        known_at(bars["date"]),
        pl.lit(vendor.name).alias("source"),
    )
    return settled(f"{vendor.name} {vendor.tickers[symbol]}", rows, RAW_MARKET, window)


def _lacking(vendor: MarketVendor, symbol: str, have: set[date], due: list[date]) -> list[date]:
    """Return the sessions due that should have a bar and have none."""
    complete_from = INSTRUMENTS[symbol].complete_from
    gaps = [session for session in due if session not in have and session >= vendor.history_from]
    if complete_from is not None:
        return [gap for gap in gaps if gap >= complete_from]
    # Its own holidays cannot be told from holes, but an answer that breaks off can.
    newest = max(have, default=date.min)
    return [gap for gap in gaps if gap > newest and not is_federal_holiday(gap)]


def _days(days: list[date]) -> str:
    shown = ", ".join(map(str, days[:5]))
    return shown if len(days) <= 5 else f"{shown} and {len(days) - 5} more sessions"


def empty_bars() -> pl.DataFrame:
    """Return no rows of `BAR`."""
    return pl.DataFrame(schema=BAR)
