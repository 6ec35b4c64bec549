"""The one client: what it waits for, what it refuses, what it never tells."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter

import pytest
from servers import BRISK, KEY

from riskcast.core.clock import wall
from riskcast.core.errors import (
    SourceMalformed,
    SourceMissing,
    SourceRefused,
    SourceUnreachable,
)
from riskcast.sources import http
from riskcast.sources.http import Http


@contextmanager
def server(*answers):
    """A server that gives one answer after another, the last for ever: (status, headers, body)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}", asked
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def client(url: str, **more) -> Http:
    return Http("Vendor", url, interval=0.0, patience=BRISK, **more)


def test_a_wait_the_server_asks_for_is_kept():
    with server((429, {"Retry-After": "1"}, b"slow down"), (200, {}, b"[]")) as (url, asked):
        began = perf_counter()
        assert client(url).get("x").json() == []
        assert perf_counter() - began >= 1.0
        assert len(asked) == 2


def test_a_wait_may_be_a_date():
    until = format_datetime(wall() + timedelta(seconds=2), usegmt=True)
    with server((503, {"Retry-After": until}, b""), (200, {}, b"[]")) as (url, asked):
        began = perf_counter()
        client(url).get("x")
        assert perf_counter() - began > 0.5
        assert len(asked) == 2


def test_a_wait_beyond_all_patience_is_not_begun():
    with server((429, {"Retry-After": "3600"}, b"come back later")) as (url, asked):
        began = perf_counter()
        with pytest.raises(SourceUnreachable, match="429: come back later") as caught:
            client(url).get("x")
        assert perf_counter() - began < 60.0
        assert len(asked) == 1
        assert caught.value.retry_after == 3600


def test_trying_ends_after_the_tries_allowed():
    with server((500, {}, b"oops")) as (url, asked):
        with pytest.raises(SourceUnreachable, match="gave up after 4 tries"):
            client(url).get("x")
        assert len(asked) == BRISK.tries


def test_nobody_listening_is_unreachable():
    with server((200, {}, b"[]")) as (url, _):
        pass
    with pytest.raises(SourceUnreachable, match="gave no whole answer"):
        client(url).get("x")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, SourceRefused), (403, SourceRefused), (404, SourceMissing), (410, SourceMissing),
     (301, SourceMalformed), (400, SourceMalformed), (204, SourceMalformed)],
)  # fmt: skip
def test_other_answers_fail_at_once_by_name(status, error):
    with server((status, {}, b"")) as (url, asked):
        with pytest.raises(error, match=str(status)):
            client(url).get("x")
        assert len(asked) == 1


def test_an_answer_too_large_is_cut_off(monkeypatch):
    monkeypatch.setattr(http, "MAX_BYTES", 1_000_000)
    with (
        server((200, {}, b"[" + b"1," * 2_000_000)) as (url, _),
        pytest.raises(SourceMalformed, match="more than 1 MB"),
    ):
        client(url).get("x")


def test_a_compressed_answer_that_expands_beyond_reason_is_cut_off(monkeypatch):
    monkeypatch.setattr(http, "MAX_BYTES", 1_000_000)
    bomb = gzip.compress(b"0" * 50_000_000)
    with (
        server((200, {"Content-Encoding": "gzip"}, bomb)) as (url, _),
        pytest.raises(SourceMalformed, match="more than 1 MB"),
    ):
        client(url).get("x")


@pytest.mark.parametrize("body", [b"\xff\xfe{", b"{'a': 1}", b"", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_is_malformed(body):
    with server((200, {}, body)) as (url, _), pytest.raises(SourceMalformed, match="Vendor"):
        client(url).get("x").json()


def test_a_key_is_masked_wherever_the_server_echoes_it():
    key = KEY + "~~"
    echo = f"no such key {key}".encode()
    with server((403, {}, echo)) as (url, asked), pytest.raises(SourceRefused) as caught:
        client(url, query={"api_key": key}).get("x")
    assert "no such key ***" in str(caught.value)
    assert "?" in asked[0]
    assert KEY not in str(caught.value)


def test_requests_keep_their_distance():
    with server((200, {}, b"[]")) as (url, _):
        paced = Http("Vendor", url, interval=0.2, patience=http.Patience(pace=1.0, first_wait=0.01))
        began = perf_counter()
        for _ in range(4):
            paced.get("x")
        assert perf_counter() - began >= 0.6


@pytest.mark.parametrize("url", ["http://[::1", "ftp://somewhere", "http://"])
def test_an_address_that_cannot_be_asked_is_a_named_error(url):
    with pytest.raises((SourceMalformed, SourceUnreachable), match="Vendor"):
        client(url).get("x")
