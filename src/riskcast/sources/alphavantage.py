"""Alpha Vantage's adjusted daily series: exchange-traded funds, by a key of a paid plan.

Every answer has status 200; what went wrong is in its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from riskcast.core.errors import (
    SourceMalformed,
    SourceMissing,
    SourceRefused,
    SourceUnreachable,
)
from riskcast.sources.fields import day, mapping, member, number
from riskcast.sources.http import Answer, Http, Patience
from riskcast.sources.keys import Keyring
from riskcast.sources.market import BAR, INSTRUMENTS

URL = "https://www.alphavantage.co"
KEY_PAGE = "https://www.alphavantage.co/support/#api-key"
INTERVAL = 1.0  # seconds; the smallest paid plan allows 75 requests a minute
RATE_WAIT = 15.0  # seconds until a rate limit by the minute has room again
FIELDS = ("1. open", "2. high", "3. low", "4. close", "5. adjusted close", "6. volume")
SERIES = "Time Series (Daily)"


class AlphaVantageMarket:
    """Bars from ``TIME_SERIES_DAILY_ADJUSTED``.

    Raises
    ------
    SourceRefused
        If there is no key, or Alpha Vantage refuses it or wants a paid plan.
    """

    name = "alphavantage"
    etf_basis = "raw+adj"
    history_from = date(1999, 11, 1)
    tickers: Mapping[str, str] = {
        symbol: symbol for symbol, one in INSTRUMENTS.items() if one.kind == "etf"
    }

    def __init__(self, url: str, keys: Keyring, patience: Patience) -> None:
        key = keys.need(self.name, KEY_PAGE)
        self._cure = keys.cure(self.name)
        self._http = Http(
            "Alpha Vantage",
            url or URL,
            interval=INTERVAL,
            patience=patience,
            query={"apikey": key},
            judge=self._judge,
        )

    def bars(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return the raw bars with the adjusted close beside them."""
        ticker = self.tickers[symbol]
        answer = self._http.get(
            "query",
            {
                "function": "TIME_SERIES_DAILY_ADJUSTED",
                "symbol": ticker,
                "outputsize": "full",  # "compact" would silently cut at 100 bars
                "datatype": "json",
            },
        )
        rows = read_series(answer.json(), f"Alpha Vantage {ticker}")
        return rows.filter(pl.col("date").is_between(first, last))

    def _judge(self, answer: Answer) -> None:
        if answer.status in (401, 403):
            raise SourceRefused(f"{answer.who} refuses the key: {self._cure}")
        if answer.status != 200:
            return
        payload = answer.json()
        if not isinstance(payload, dict) or SERIES in payload:
            return
        said = " ".join(str(payload.get(n, "")) for n in ("Error Message", "Note", "Information"))
        lower, excerpt = said.lower(), answer.excerpt()
        if "premium endpoint" in lower:
            raise SourceRefused(f"{answer.who}: the key's plan has no adjusted bars: {excerpt}")
        # Before the rate limit: that text, too, may name the key it is about.
        if "apikey is invalid" in lower or "api key is invalid" in lower:
            raise SourceRefused(f"{answer.who} refuses the key ({excerpt}): {self._cure}")
        if "frequency" in lower or "rate limit" in lower or "per day" in lower:
            raise SourceUnreachable(f"{answer.who} limits the rate: {excerpt}", RATE_WAIT)
        if "invalid api call" in lower:
            raise SourceMissing(f"{answer.who} does not know the symbol: {excerpt}")
        raise SourceMalformed(f"{answer.who} sent no {SERIES!r}: {excerpt}")


def read_series(payload: object, where: str) -> pl.DataFrame:
    """Return the bars of an answer, ascending; raise SourceMalformed where it holds none."""
    series = mapping(member(mapping(payload, where), SERIES, where), where)
    rows = []
    for text, row in series.items():
        at = day(text, where)
        here = f"{where} {at}"
        bar = mapping(row, here)
        rows.append((at, *(number(member(bar, name, here), here) for name in FIELDS)))
    return pl.DataFrame(rows, schema=BAR, orient="row").sort("date")
