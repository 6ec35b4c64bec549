"""Whatever bytes a vendor sends: rows or a SourceError, and soon."""

from __future__ import annotations

import json
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskcast.core.errors import SourceError
from riskcast.sources import alphavantage, fields, fred, pmi, stooq, tiingo
from riskcast.sources.http import Answer

VALID = {
    "fred": [{"realtime_start": "2024-03-08", "date": "2024-02-01", "value": "3.9"}] * 2,
    "pmi": {"series": {"docs": [{
        "period_start_day": ["2024-01-01", "2024-02-01"], "value": [49.1, "NA"],
    }]}},
    "tiingo": [{
        "date": "2024-03-08T00:00:00.000Z", "open": 1.0, "high": 2, "low": 0.5, "close": 1.5,
        "adjClose": 1.4, "volume": 100,
    }],
    "alphavantage": {"Time Series (Daily)": {"2024-03-08": {
        "1. open": "1", "2. high": "2", "3. low": "0.5", "4. close": "1.5",
        "5. adjusted close": "1.4", "6. volume": "10",
    }}},
}  # fmt: skip
CSV = "Date,Open,High,Low,Close,Volume\r\n2024-03-08,1,2,0.5,1.5,100\r\n2024-03-11,1,2,0.5,1.5,\r\n"


def _fred(answer: Answer) -> object:
    return fred.read_observations(fields.items(answer.json(), "FRED"), "FRED")


PARSERS = {
    "fred": _fred,
    "pmi": lambda answer: pmi.read_series(answer.json(), "DBnomics"),
    "tiingo": lambda answer: tiingo.read_prices(answer.json(), "Tiingo"),
    "alphavantage": lambda answer: alphavantage.read_series(answer.json(), "Alpha Vantage"),
    "stooq": lambda answer: stooq.read_csv(answer.text(), "Stooq"),
}
WHOLE = {**{name: json.dumps(valid).encode() for name, valid in VALID.items()},
         "stooq": CSV.encode()}  # fmt: skip

numbers = st.one_of(
    st.integers(), st.floats(), st.integers(10**300, 10**320), st.just(-(10**400)), st.booleans()
)
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from([".", "NA", "NaN", "1e999", "-0", "2024-02-30", "0001-01-01", "9999-12-31",
                     "2024-03-08T00:00:00.000Z", "٣", "1_000", "0x10", "\ud800"]),
)  # fmt: skip
names = st.one_of(texts, st.sampled_from(
    ["series", "docs", "value", "date", "period_start_day", "realtime_start", "close",
     "Time Series (Daily)", "4. close", "2024-03-08"]
))  # fmt: skip
anything = st.recursive(
    st.one_of(st.none(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def bent(draw: st.DrawFn, value: object) -> object:
    """A valid payload with one place, somewhere, replaced or removed."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 4)):
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: draw(bent(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(bent(value[place])), *value[place + 1 :]]
    return draw(anything)


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with a stretch cut out or written over."""
    at = draw(st.integers(0, len(whole)))
    gone = draw(st.integers(0, 12))
    return whole[:at] + draw(st.binary(max_size=12)) + whole[at + gone :]


def payloads(parser: str) -> st.SearchStrategy[bytes]:
    whole = WHOLE[parser]
    strategies = [st.binary(max_size=200), broken(whole), st.text(max_size=200).map(_utf8)]
    if parser in VALID:
        strategies += [anything.map(_dumped), bent(VALID[parser]).map(_dumped)] * 2
    else:
        field = st.one_of(texts, st.floats().map(str), st.just("2024-03-08"))
        line = st.lists(field, min_size=5, max_size=7).map(",".join)
        strategies += [
            st.lists(line, max_size=4).map(
                lambda lines: _utf8("\n".join([CSV.splitlines()[0], *lines]))
            )
        ] * 3
    return st.one_of(strategies)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _dumped(value: object) -> bytes:
    return _utf8(json.dumps(value, ensure_ascii=False))


def parse(parser: str, body: bytes) -> None:
    answer = Answer("Vendor (http://host/path)", 200, "application/json", body)
    try:
        rows = PARSERS[parser](answer)
    except SourceError as error:
        assert 0 < len(str(error)) < 1000
    else:
        if isinstance(rows, pl.DataFrame) and "close" in rows.columns:
            assert rows["close"].is_finite().all()
            assert rows["date"].null_count() == 0


def fuzz(parser: str, cases: int) -> int:
    """Run the cases, each bounded to two seconds; return how many ran."""
    ran = 0

    @settings(
        max_examples=cases,
        deadline=timedelta(seconds=2),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(payloads(parser))
    def one(body: bytes) -> None:
        nonlocal ran
        ran += 1
        parse(parser, body)

    one()
    return ran


@pytest.mark.parametrize("parser", PARSERS)
def test_a_whole_answer_parses(parser):
    answer = Answer("Vendor", 200, "application/json", WHOLE[parser])
    assert len(PARSERS[parser](answer)) >= 1


@pytest.mark.parametrize("parser", PARSERS)
def test_no_bytes_make_a_parser_crash_or_hang(parser):
    assert fuzz(parser, 500) >= 500


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
def test_ten_thousand_cases_make_no_parser_crash_or_hang(parser):
    ran = fuzz(parser, 10_000)
    print(f"{parser}: {ran} cases, 0 crashes, 0 hangs")  # noqa: T201
    assert ran >= 10_000
