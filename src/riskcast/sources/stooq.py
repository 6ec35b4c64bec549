"""Stooq's daily CSV, and whoever speaks it: prices adjusted for splits and dividends.

Stooq itself asks browsers for a proof of work and programs for a key, which is optional here
because mirrors of the format need none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date

import polars as pl

from riskcast.core.errors import SourceMalformed, SourceRefused, SourceUnreachable
from riskcast.sources.fields import day, number
from riskcast.sources.http import Answer, Http, Patience
from riskcast.sources.keys import Keyring
from riskcast.sources.market import BAR, INSTRUMENTS, empty_bars

URL = "https://stooq.com"
INTERVAL = 1.0  # seconds; the limit is by the day and not published
COLUMNS = ["Date", "Open", "High", "Low", "Close"]
VOLUME = "Volume"  # left out for indices


class StooqMarket:
    """Bars from ``/q/d/l/``."""

    name = "stooq"
    etf_basis = "adjusted"
    history_from = date(2005, 2, 25)
    # VIX3M is not among its symbols.
    tickers: Mapping[str, str] = {
        **{s: f"{s.lower()}.us" for s, one in INSTRUMENTS.items() if one.kind == "etf"},
        "GSPC": "^spx",
        "VIX": "^vix",
        "DXY": "usd_i",
        "WTI": "cl.f",
    }

    def __init__(self, url: str, keys: Keyring, patience: Patience) -> None:
        key = keys.find(self.name)
        self._cure = keys.cure(self.name)
        self._http = Http(
            "Stooq",
            url or URL,
            interval=INTERVAL,
            patience=patience,
            query={"apikey": key} if key else {},
            judge=self._judge,
        )

    def bars(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return the adjusted bars."""
        ticker = self.tickers[symbol]
        span = {"d1": f"{first:%Y%m%d}", "d2": f"{last:%Y%m%d}"}
        answer = self._http.get("q/d/l/", {"s": ticker, **span, "i": "d"})
        return read_csv(answer.text(), f"Stooq {ticker}")

    def _judge(self, answer: Answer) -> None:
        said = answer.excerpt().lower()
        if "exceeded the daily hits limit" in said:
            # A limit by the day: more tries today only cost more hits.
            raise SourceUnreachable(f"{answer.who} is used up for today: {said}", 86_400.0)
        if answer.status in (401, 403) or "apikey" in said:
            raise SourceRefused(f"{answer.who} wants another key: {self._cure}")


def read_csv(text: str, where: str) -> pl.DataFrame:
    """Return the bars of a CSV, none for "No data".

    Raises
    ------
    SourceMalformed
        If the header is another, or a line has other fields than it says.
    """
    if text.strip().lower() == "no data":
        return empty_bars()
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = next(reader, [])
        if header not in (COLUMNS, [*COLUMNS, VOLUME]):
            raise SourceMalformed(f"{where}: the header is {header[:8]}, not {COLUMNS}")
        for fields in reader:
            here = f"{where}, line {reader.line_num}"
            if len(fields) != len(header):
                raise SourceMalformed(f"{here}: {len(fields)} fields, {len(header)} expected")
            prices = [number(field, here) for field in fields[1:5]]
            volume = number(fields[5], here) if len(fields) > 5 and fields[5] else None
            rows.append((day(fields[0], here), *prices, prices[3], volume))
    except csv.Error as error:
        raise SourceMalformed(f"{where}, line {reader.line_num}: {error}") from error
    return pl.DataFrame(rows, schema=BAR, orient="row")
