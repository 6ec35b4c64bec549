"""Tiingo's end-of-day prices: exchange-traded funds, raw and adjusted, by key.

Indices, futures and the dollar index are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from riskcast.core.errors import SourceMissing, SourceRefused
from riskcast.sources.fields import day, items, mapping, member, number, optional_number
from riskcast.sources.http import Answer, Http, Patience
from riskcast.sources.keys import Keyring
from riskcast.sources.market import BAR, INSTRUMENTS

URL = "https://api.tiingo.com"
KEY_PAGE = "https://www.tiingo.com/account/api/token"
INTERVAL = 1.0  # seconds; the free plan allows 50 requests an hour, a run makes 14


class TiingoMarket:
    """Bars from ``/tiingo/daily/<ticker>/prices``.

    Raises
    ------
    SourceRefused
        If there is no key, or Tiingo refuses it.
    """

    name = "tiingo"
    etf_basis = "raw+adj"
    history_from = date(1993, 1, 29)
    tickers: Mapping[str, str] = {
        symbol: symbol.lower() for symbol, one in INSTRUMENTS.items() if one.kind == "etf"
    }

    def __init__(self, url: str, keys: Keyring, patience: Patience) -> None:
        key = keys.need(self.name, KEY_PAGE)

        def judge(answer: Answer) -> None:
            if answer.status in (401, 403):
                raise SourceRefused(
                    f"{answer.who} refuses the key ({answer.excerpt()}): {keys.cure(self.name)}"
                )
            if answer.status == 404:
                raise SourceMissing(f"{answer.who} does not know the symbol: {answer.excerpt()}")

        self._http = Http(
            "Tiingo",
            url or URL,
            interval=INTERVAL,
            patience=patience,
            headers={"Authorization": f"Token {key}"},
            judge=judge,
        )

    def bars(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return the raw bars with the adjusted close beside them."""
        ticker = self.tickers[symbol]
        answer = self._http.get(
            f"tiingo/daily/{ticker}/prices",
            {"startDate": str(first), "endDate": str(last), "format": "json"},
        )
        return read_prices(answer.json(), f"Tiingo {ticker}")


def read_prices(payload: object, where: str) -> pl.DataFrame:
    """Return the bars of an answer; raise SourceMalformed where it is no list of them."""
    rows = []
    for row in items(payload, where):
        bar = mapping(row, where)
        at = day(member(bar, "date", where), where)
        here = f"{where} {at}"
        optional = (optional_number(member(bar, n, here), here) for n in ("open", "high", "low"))
        close, adj_close = (number(member(bar, n, here), here) for n in ("close", "adjClose"))
        volume = optional_number(member(bar, "volume", here), here)
        rows.append((at, *optional, close, adj_close, volume))
    return pl.DataFrame(rows, schema=BAR, orient="row")
