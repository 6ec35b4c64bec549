"""Yahoo's daily bars through yfinance: raw prices beside the adjusted close, without a key.

yfinance speaks to Yahoo's own hosts in a browser's voice; it is used as it is and only its frames
are judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from json import JSONDecodeError
from typing import Any

import polars as pl

from riskcast.core.errors import SourceMalformed, SourceMissing, SourceUnreachable
from riskcast.sources.fields import shown
from riskcast.sources.http import Patience, patiently
from riskcast.sources.market import BAR, INSTRUMENTS, empty_bars

COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
}

History = Callable[[str, date, date, float], Any]  # ticker, first, last, seconds: pandas frame


def yahoo_history(ticker: str, first: date, last: date, timeout: float) -> Any:
    """Return yfinance's frame of daily bars from `first` to `last`, both included.

    Raises
    ------
    SourceUnreachable
        If Yahoo limits the rate, is down, or the connection fails.
    SourceMalformed
        If yfinance cannot read what Yahoo sent.
    """
    try:
        import yfinance
        from curl_cffi.requests.exceptions import RequestException
        from yfinance import exceptions
    except ImportError as error:
        raise SourceMissing(
            "RISKCAST_MARKET=yahoo needs the package yfinance: install riskcast[live]"
        ) from error
    # By default yfinance logs what goes wrong and returns an empty frame.
    yfinance.config.debug.hide_exceptions = False
    try:
        return yfinance.Ticker(ticker).history(
            start=first.isoformat(),
            end=(last + timedelta(days=1)).isoformat(),
            interval="1d",
            auto_adjust=False,
            actions=False,
            repair=False,
            keepna=False,
            timeout=timeout,
        )
    except exceptions.YFTickerMissingError:
        return None
    except (exceptions.YFRateLimitError, exceptions.YFDataException, RequestException) as error:
        raise SourceUnreachable(f"Yahoo did not answer for {ticker}: {error}") from error
    except JSONDecodeError as error:
        # A page in place of data: what Yahoo shows while it is down.
        raise SourceUnreachable(f"Yahoo sent no data for {ticker}: {error}") from error
    except (exceptions.YFException, LookupError, TypeError, ValueError, AttributeError) as error:
        said = f"yfinance cannot read Yahoo's answer for {ticker}: {error!r}"
        raise SourceMalformed(said) from error


class YahooMarket:
    """Bars as yfinance delivers them with auto_adjust off.

    Parameters
    ----------
    history : callable, optional
        Stands for `yahoo_history`.
    """

    name = "yahoo"
    etf_basis = "raw+adj"
    history_from = date(1970, 1, 1)
    tickers: Mapping[str, str] = {
        **{symbol: symbol for symbol, one in INSTRUMENTS.items() if one.kind == "etf"},
        "GSPC": "^GSPC",
        "VIX": "^VIX",
        "VIX3M": "^VIX3M",
        "DXY": "DX-Y.NYB",
        "WTI": "CL=F",
    }

    def __init__(self, patience: Patience, history: History = yahoo_history) -> None:
        self.patience, self.history = patience, history

    def bars(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return the raw bars with the adjusted close beside them."""
        ticker, patience = self.tickers[symbol], self.patience
        frame = patiently(
            patience, lambda _: self.history(ticker, first, last, patience.silence_seconds)
        )
        return read_frame(frame, f"Yahoo {ticker}")


def read_frame(frame: Any, where: str) -> pl.DataFrame:
    """Return the bars of a pandas frame indexed by the exchange's midnights.

    A row without a close, which Yahoo sends for a session it has no trade of, is no bar.

    Raises
    ------
    SourceMalformed
        If a column is missing or not numeric, or the index holds no dates.
    """
    if frame is None or len(frame) == 0:
        return empty_bars()
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        has = shown(list(map(str, frame.columns)))
        raise SourceMalformed(f"{where} lacks {', '.join(missing)}; it has {has}")
    try:
        # The local day: a session's midnight in New York is another day in UTC.
        days = [stamp.date() for stamp in frame.index]
        bars = pl.DataFrame(
            {"date": pl.Series(days, dtype=pl.Date)}
            | {
                ours: pl.Series(frame[theirs].astype("float64").to_numpy(), dtype=pl.Float64)
                for theirs, ours in COLUMNS.items()
            }
        )
    except (AttributeError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise SourceMalformed(f"{where}: {error}") from error
    prices = pl.col("open", "high", "low", "close")
    # Yahoo writes zero where it has no price, as for the opens of indices before 1962.
    known = bars.with_columns(pl.col(pl.Float64).fill_nan(None)).with_columns(
        pl.when(prices != 0.0).then(prices)
    )
    return known.drop_nulls("close").select(*BAR)
