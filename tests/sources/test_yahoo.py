"""Yahoo through the real yfinance, its base address turned to a server on loopback.

The addresses are constants of yfinance and its cookies come from hosts of Yahoo's own, so those
two are set aside; the requests, the parsing and the frame are yfinance's.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from servers import BRISK, close

from riskcast.core.errors import (
    SourceError,
    SourceMalformed,
    SourceMissing,
    SourceUnreachable,
)
from riskcast.core.window import Window
from riskcast.sources.cache import Cache
from riskcast.sources.market import INSTRUMENTS, fetch_bars
from riskcast.sources.yahoo import YahooMarket, read_frame
from riskcast.transforms.sessions import xnys_sessions

NEW_YORK = ZoneInfo("America/New_York")
WINDOW = Window(datetime(2024, 3, 7, 22, 5, tzinfo=UTC), datetime(2024, 3, 12, 22, 5, tzinfo=UTC))
SESSIONS = [date(2024, 3, 8), date(2024, 3, 11), date(2024, 3, 12)]


def chart(ticker: str, first: date, last: date) -> dict:
    days = xnys_sessions(first, last)["session"].to_list()
    stamps = [int(datetime.combine(d, time(9, 30), NEW_YORK).timestamp()) for d in days]
    prices = [close(ticker, day) for day in days]
    quote = {
        "open": [p - 1 for p in prices], "high": [p + 2 for p in prices],
        "low": [p - 2 for p in prices], "close": prices, "volume": [1000] * len(days),
    }  # fmt: skip
    meta = {
        "currency": "USD", "symbol": ticker, "exchangeName": "PCX", "instrumentType": "ETF",
        "exchangeTimezoneName": "America/New_York", "timezone": "EST", "gmtoffset": -18000,
        "regularMarketPrice": 100.0, "priceHint": 2, "dataGranularity": "1d",
        "validRanges": ["1d", "max"], "firstTradeDate": 728317800,
    }  # fmt: skip
    adjusted = {"adjclose": [p * 0.9 for p in prices]}
    result = {
        "meta": meta, "timestamp": stamps,
        "indicators": {"quote": [quote], "adjclose": [adjusted]},
    }  # fmt: skip
    return {"chart": {"result": [result], "error": None}}


def answer(ticker: str, first: date, last: date, fault: str) -> tuple[int, str]:
    payload = chart(ticker, first, last)
    inside = payload["chart"]["result"][0]["indicators"]
    if fault == "hole":
        for values in (*inside["quote"][0].values(), inside["adjclose"][0]["adjclose"]):
            values[1] = None
    if fault == "schema":
        payload = {"chart": {"result": [{"meta": {}}], "error": None}}
    if fault == "delisted":
        said = {"code": "Not Found", "description": "No data found"}
        return 404, json.dumps({"chart": {"result": None, "error": said}})
    faulty = {
        "rate": (429, "Too Many Requests"),
        "500": (500, "Internal Server Error"),
        "web page": (200, "<html>Please enable JavaScript</html>"),
        "down": (200, "Will be right back"),
    }
    return faulty.get(fault) or (200, json.dumps(payload))


@contextmanager
def yahoo(state: dict):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            ticker = unquote(url.path.rsplit("/", 1)[1])
            state.setdefault("asked", []).append(ticker)
            fault = state.get("fault", "") if state.get("only", "") in ticker else ""
            first, last = SESSIONS[0], SESSIONS[-1]
            if "period1" in query:
                first, after = (
                    datetime.fromtimestamp(int(query[name][0]), UTC).astimezone(NEW_YORK).date()
                    for name in ("period1", "period2")
                )
                last = after - timedelta(days=1)
            status, body = answer(ticker, first, last, fault)
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}"
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


@pytest.fixture
def state():
    return {}


@pytest.fixture
def market(state, monkeypatch, tmp_path):
    yf = pytest.importorskip("yfinance")
    from yfinance import base, data
    from yfinance.scrapers import history

    yf.set_tz_cache_location(str(tmp_path / "tz"))
    monkeypatch.setattr(data.YfData, "_get_cookie_and_crumb", lambda *_a, **_k: (None, "basic"))
    # yfinance remembers answers of the past by address.
    monkeypatch.setattr(data.YfData, "cache_get", data.YfData.get)
    with yahoo(state) as url:
        monkeypatch.setattr(history, "_BASE_URL_", url)
        monkeypatch.setattr(base, "_BASE_URL_", url)
        yield YahooMarket(BRISK)


def test_bars_are_raw_with_the_adjusted_close_beside_them(market):
    bars = market.bars("SPY", SESSIONS[0], SESSIONS[-1])
    assert bars["date"].to_list() == SESSIONS
    assert bars["close"].to_list() == pytest.approx([close("SPY", day) for day in SESSIONS])
    assert (bars["adj_close"] / bars["close"]).to_list() == pytest.approx([0.9] * 3)
    assert bars["volume"].to_list() == [1000.0] * 3


def test_every_instrument_is_asked_by_yahoo_s_name(market, state, tmp_path):
    rows = fetch_bars(market, WINDOW, Cache(tmp_path / "cache", "yahoo", WINDOW))
    assert set(rows["symbol"]) == set(INSTRUMENTS)
    assert {"^VIX", "^VIX3M", "^GSPC", "DX-Y.NYB", "CL=F", "SPY"} <= set(state["asked"])
    basis = dict(rows.select("symbol", "price_basis").unique().rows())
    assert (basis["SPY"], basis["VIX"], basis["WTI"]) == ("raw+adj", "index", "spot")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate", SourceUnreachable),
        ("down", SourceUnreachable),
        ("500", SourceError),
        ("web page", SourceError),
        ("schema", SourceMalformed),
    ],
)
def test_what_yahoo_gets_wrong_is_a_named_error(market, state, fault, error):
    state["fault"] = fault
    with pytest.raises(error, match="SPY"):
        market.bars("SPY", SESSIONS[0], SESSIONS[-1])


@pytest.mark.parametrize("fault", ["delisted", "hole"])
def test_a_session_without_a_bar_is_missing_by_name(market, state, fault, tmp_path):
    state["fault"], state["only"] = fault, "TLT"
    with pytest.raises(SourceMissing, match=r"no bar of TLT on (2024-03-08, )?2024-03-11"):
        fetch_bars(market, WINDOW, Cache(tmp_path / "cache", "yahoo", WINDOW))


def frame(**changes) -> pd.DataFrame:
    index = pd.DatetimeIndex(pd.to_datetime(SESSIONS)).tz_localize("America/New_York")
    values = {
        "Open": [1.0, 2.0, 3.0], "High": [2.0, 3.0, 4.0], "Low": [0.5, 1.0, 2.0],
        "Close": [1.5, 2.5, 3.5], "Adj Close": [1.4, 2.4, 3.4], "Volume": [10, 20, 30],
    }  # fmt: skip
    return pd.DataFrame({**values, **changes}, index=index)


def test_a_day_is_the_exchange_s_day():
    assert read_frame(frame(), "Yahoo SPY")["date"].to_list() == SESSIONS


@pytest.mark.parametrize(
    "wrong",
    [
        frame().drop(columns="Adj Close"),
        frame(Close=["1.5", "x", "3"]),
        frame().reset_index(drop=True),
        frame().set_axis([1, 2, 3]),
    ],
)
def test_a_frame_of_another_shape_is_malformed(wrong):
    with pytest.raises(SourceMalformed, match="Yahoo SPY"):
        read_frame(wrong, "Yahoo SPY")


def test_a_row_without_a_close_is_no_bar():
    assert read_frame(frame(Close=[1.5, None, 3.5]), "Yahoo SPY").height == 2


def test_a_price_of_zero_is_none():
    bars = read_frame(frame(Open=[0.0, 2.0, 3.0], Volume=[0, 0, 0]), "Yahoo ^GSPC")
    assert bars["open"].to_list() == [None, 2.0, 3.0]
    assert bars["volume"].to_list() == [0.0] * 3


def test_yahoo_is_asked_again_only_while_it_may_help(tmp_path):
    asked = []

    def flaky(ticker, first, last, seconds):
        asked.append(ticker)
        if len(asked) < 3:
            raise SourceUnreachable("Yahoo did not answer")
        return frame()

    bars = YahooMarket(BRISK, flaky).bars("SPY", SESSIONS[0], SESSIONS[-1])
    assert (bars.height, len(asked)) == (3, 3)
