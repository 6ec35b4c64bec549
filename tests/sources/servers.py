"""Real servers on loopback that speak the vendors' protocols, with faults to switch on.

One server answers for all of them: their paths do not overlap.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from riskcast.sources.http import Patience
from riskcast.transforms.sessions import xnys_sessions

KEY = "k3y-of-the-tests-0123456789abcdef"
# One second of silence is long on loopback.
BRISK = Patience(
    tries=4, total_seconds=2.0, silence_seconds=0.4,
    first_wait=0.01, longest_wait=0.02, jitter=0.0, pace=0.0,
)  # fmt: skip
REVISED = date(2024, 3, 8)  # the vintage that revises January's unemployment in `UNRATE`
HTML = "<!doctype html><html><body>Please enable JavaScript</body></html>"
NEVER = date(9999, 12, 31)

# (period, vintage, value): employment reports on either side of the clock change of 2024-03-10.
UNRATE = [
    (date(2023, 12, 1), date(2024, 1, 5), "3.7"),
    (date(2024, 1, 1), date(2024, 2, 2), "3.7"),
    (date(2024, 1, 1), REVISED, "3.8"),
    (date(2024, 2, 1), REVISED, "3.9"),
    (date(2024, 3, 1), date(2024, 4, 5), "3.8"),
    (date(2024, 4, 1), date(2024, 5, 3), "3.9"),
]


def weekdays(first: date, last: date) -> Iterator[date]:
    while first <= last:
        if first.weekday() < 5:
            yield first
        first += timedelta(days=1)


def daily(level: float) -> list[tuple[date, str]]:
    """A value per weekday of 2023 and 2024, a dot on New Year's Day."""
    return [
        (
            day,
            "." if (day.month, day.day) == (1, 1) else f"{level + (day.toordinal() % 7) / 10:.2f}",
        )
        for day in weekdays(date(2023, 1, 2), date(2024, 12, 31))
    ]


def close(symbol: str, day: date) -> float:
    return 100.0 + len(symbol) + (day.toordinal() * 7919 % 1000) / 100


@dataclass
class World:
    """What the vendors know, and what is wrong with them.

    Attributes
    ----------
    fault : str
        Name of the fault; empty for none.
    only : str
        Text of the path and query that the fault is limited to.
    asked : list of str
        Path and query of every request.
    """

    fault: str = ""
    only: str = ""
    retry_after: str = "0"
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failed: int = 0
    vintages: dict[str, list[tuple[date, date, str]]] = field(
        default_factory=lambda: {
            "UNRATE": list(UNRATE),
            "PAYEMS": [(about, at, str(150_000 + about.toordinal())) for about, at, _ in UNRATE],
            "CPIAUCSL": [
                (date(2023, 12, 1), date(2024, 1, 11), "308.7"),
                (date(2024, 1, 1), date(2024, 2, 13), "309.7"),
                (date(2024, 2, 1), date(2024, 3, 12), "311.1"),
                (date(2024, 3, 1), date(2024, 4, 10), "312.2"),
            ],
        }
    )
    daily: dict[str, list[tuple[date, str]]] = field(
        default_factory=lambda: {
            "DFF": daily(5.3), "DGS2": daily(4.6), "DGS10": daily(4.2), "BAMLH0A0HYM2": daily(3.3),
        }
    )  # fmt: skip
    releases: dict[str, list[date]] = field(
        default_factory=lambda: {
            "10": [date(2024, 2, 13), date(2024, 3, 12), date(2024, 4, 10), date(2024, 5, 15)],
            "46": [date(2024, 2, 16), date(2024, 3, 14), date(2024, 4, 11)],
            "50": [date(2024, 2, 2), date(2024, 3, 8), date(2024, 4, 5), date(2024, 5, 3)],
        }
    )
    pmi: dict[str, object] = field(
        default_factory=lambda: {
            "2023-12": 47.1, "2024-01": 49.1, "2024-02": 47.8, "2024-03": 50.3, "2024-04": "NA",
        }
    )  # fmt: skip

    def hit(self, target: str) -> bool:
        return bool(self.fault) and self.only in target


@contextmanager
def serve(world: World) -> Iterator[str]:
    """Yield the address of a server of the world."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            world.asked.append(self.path)
            world.headers.append(dict(self.headers))
            try:
                _answer(self, world)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client had had enough

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


FAULTY = {  # status, media type, body and headers of answers that need no world
    "429 once": (429, "text/plain", "slow down", True),
    "429 always": (429, "text/plain", "slow down", True),
    "500 twice": (500, "text/plain", "oops", False),
    "500 always": (500, "text/plain", "oops", False),
    "web page": (200, "text/html; charset=utf-8", HTML, False),
    "web page as data": (200, "application/json", HTML, False),
}
PASSING = {"429 once": 1, "500 twice": 2}


def _answer(handler: BaseHTTPRequestHandler, world: World) -> None:
    fault = world.fault if world.hit(handler.path) else ""
    if fault in PASSING:
        world.failed += 1
        fault = fault if world.failed <= PASSING[fault] else ""
    if fault in FAULTY:
        status, kind, body, wait = FAULTY[fault]
        headers = {"Retry-After": world.retry_after} if wait else {}
        _send(handler, status, kind, f"{body} {handler.path}" if status > 200 else body, headers)
    elif fault == "silent":
        time.sleep(1.0)
        handler.close_connection = True
    elif fault == "dripping":
        _drip(handler)
    elif fault == "moved":
        _send(handler, 302, "text/plain", "", {"Location": f"https://example.org{handler.path}"})
    else:
        status, kind, body = _route(handler, world, fault)
        if fault == "shorter than announced":
            _send(handler, status, kind, body[: len(body) // 2], {}, announced=len(body.encode()))
        elif fault == "broken off":
            _send(handler, status, kind, body[: len(body) // 2 + 3], {}, announced=None)
        else:
            _send(handler, status, kind, body)


def _send(handler, status, kind, body, headers=None, announced=-1) -> None:
    data = body.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if announced is None:
        handler.send_header("Connection", "close")
    else:
        handler.send_header("Content-Length", str(len(data) if announced < 0 else announced))
    handler.end_headers()
    handler.wfile.write(data)
    handler.close_connection = True


def _drip(handler) -> None:
    """A byte every now and then: never silent, never done."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def _route(handler, world: World, fault: str) -> tuple[int, str, str]:
    url = urlsplit(handler.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if url.path.startswith("/fred/"):
        return _fred(world, url.path, query, fault)
    if url.path == "/q/d/l/":
        return 200, "text/csv", _stooq(query, fault)
    if url.path.startswith("/tiingo/daily/"):
        token = handler.headers.get("Authorization", "")
        return _tiingo(url.path.split("/")[3], query, token, fault)
    if url.path == "/query":
        return 200, "application/json", _alphavantage(query, fault)
    if url.path == "/series/ISM/pmi/pm":
        return 200, "application/json", json.dumps(_dbnomics(world, fault))
    return 404, "text/plain", "no such page"


def sessions(first: date, last: date, fault: str) -> list[date]:
    """The sessions a market vendor has, today's unfinished one included."""
    if fault == "empty":
        return []
    days = xnys_sessions(max(first, date(1990, 1, 2)), last)["session"].to_list()
    return days[:-1] if fault == "a session short" else days


def _fred(world: World, path: str, query: dict[str, str], fault: str) -> tuple[int, str, str]:
    kind = "application/json; charset=UTF-8"
    key = query.get("api_key")
    if key != KEY or fault == "refused":
        rows: list | str = f"The value for variable api_key ({key}) is not registered."
    else:
        rows = _fred_rows(world, path, query)
    if isinstance(rows, str):
        said = {"error_code": 400, "error_message": f"Bad Request.  {rows}"}
        return 400, kind, json.dumps(said)
    if fault == "empty":
        rows = []
    count, offset, limit = len(rows), int(query.get("offset", 0)), int(query.get("limit", 100_000))
    page = rows[offset : offset + min(limit, 100_000)]
    if fault == "a session short":
        page = page[:-1]
    name = "data" if fault == "another schema" else FRED_NAMES[path]
    return 200, kind, json.dumps({"count": count, "offset": offset, "limit": limit, name: page})


FRED_NAMES = {
    "/fred/release/dates": "release_dates",
    "/fred/series/vintagedates": "vintage_dates",
    "/fred/series/observations": "observations",
}


def _fred_rows(world: World, path: str, query: dict[str, str]) -> list | str:
    if query.get("file_type") != "json":
        return "Only JSON here."
    if path == "/fred/release/dates":
        release = query["release_id"]
        return [{"release_id": int(release), "date": str(day)} for day in world.releases[release]]
    series = query["series_id"]
    if series not in world.vintages and series not in world.daily:
        return "The series does not exist."
    if path == "/fred/series/vintagedates":
        return sorted({str(at) for _, at, _ in world.vintages[series]})
    return _observations(world, query)


def _observations(world: World, query: dict[str, str]) -> list[dict[str, str]] | str:
    """ALFRED's real-time periods, cut to the span asked for."""
    series = query["series_id"]
    if series in world.daily:
        today = str(date(2026, 1, 1))
        return [
            {"realtime_start": today, "realtime_end": today, "date": str(day), "value": value}
            for day, value in world.daily[series]
        ]
    start = date.fromisoformat(query["realtime_start"])
    end = date.fromisoformat(query["realtime_end"])
    vintages = world.vintages[series]
    inside = {at for _, at, _ in vintages if start <= at <= end}
    if len(inside) > 2000:
        return f"There are {len(inside)} vintage dates. This exceeds the maximum number (2000)."
    rows = []
    for about in sorted({about for about, _, _ in vintages}):
        told = sorted((at, value) for when, at, value in vintages if when == about)
        for i, (at, value) in enumerate(told):
            until = told[i + 1][0] - timedelta(days=1) if i + 1 < len(told) else NEVER
            if at <= end and until >= start:
                rows.append({
                    "realtime_start": str(max(at, start)), "realtime_end": str(min(until, end)),
                    "date": str(about), "value": value,
                })  # fmt: skip
    return rows


def _stooq(query: dict[str, str], fault: str) -> str:
    if fault == "refused":
        return "Get your apikey:\n\n1. Open the page and enter the code"
    first, last = (date.fromisoformat(query[name]) for name in ("d1", "d2"))
    days = sessions(first, last, fault)
    if not days:
        return "No data"
    header = "Date,Open,High,Low,Close,Volume"
    if fault == "another schema":
        header = "Day,Open,High,Low,Close,Volume"
    lines = [header]
    for day in days:
        price = close(query["s"], day)
        lines.append(f"{day},{price - 1},{price + 2},{price - 2},{price},123456")
    return "\r\n".join(lines) + "\r\n"


def _tiingo(ticker: str, query: dict[str, str], token: str, fault: str) -> tuple[int, str, str]:
    if token != f"Token {KEY}" or fault == "refused":
        return 401, "application/json", json.dumps({"detail": f"Invalid token. {token}"})
    days = sessions(
        date.fromisoformat(query["startDate"]), date.fromisoformat(query["endDate"]), fault
    )
    rows = []
    for day in days:
        price = close(ticker, day)
        adjusted = "adj_close" if fault == "another schema" else "adjClose"
        rows.append({
            "date": f"{day}T00:00:00.000Z", "open": price - 1, "high": price + 2,
            "low": price - 2, "close": price, "volume": 123456, adjusted: price * 0.9,
            "divCash": 0.0, "splitFactor": 1.0,
        })  # fmt: skip
    return 200, "application/json", json.dumps(rows)


def _alphavantage(query: dict[str, str], fault: str) -> str:
    if query.get("apikey") != KEY or fault == "refused":
        return json.dumps({"Error Message": "the parameter apikey is invalid or missing. "
                           f"Your key is {query.get('apikey')}"})  # fmt: skip
    if fault == "premium":
        return json.dumps({"Information": "This is a premium endpoint."})
    if fault == "rate":
        said = "standard API rate limit is 25 requests per day"
        return json.dumps({"Information": f"We have detected your API key as {KEY}, {said}."})
    adjusted = "5. adj" if fault == "another schema" else "5. adjusted close"
    series = {}
    for day in reversed(sessions(date(2023, 1, 3), date(2024, 12, 31), fault)):
        price = close(query["symbol"], day)
        series[str(day)] = {
            "1. open": f"{price - 1}", "2. high": f"{price + 2}", "3. low": f"{price - 2}",
            "4. close": f"{price}", adjusted: f"{price * 0.9}", "6. volume": "123456",
        }  # fmt: skip
    if fault == "a session short":
        series.pop("2024-03-12", None)
    return json.dumps({"Meta Data": {"2. Symbol": query["symbol"]}, "Time Series (Daily)": series})


def _dbnomics(world: World, fault: str) -> dict[str, object]:
    months = {} if fault == "empty" else world.pmi
    values = list(months.values())
    doc = {
        "dataset_code": "pmi", "provider_code": "ISM", "series_code": "pm",
        "period": list(months), "period_start_day": [f"{month}-01" for month in months],
        "observations" if fault == "another schema" else "value":
            values[:-1] if fault == "a session short" else values,
    }  # fmt: skip
    return {"errors": None, "series": {"docs": [] if fault == "empty" else [doc], "num_found": 1}}
