"""The tally of the access log, and reading it from the end while it is turned over or cut."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.routing import access_log
from riskcast.routing.access_log import entries_since, tally

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
PORTS = {"8001": "blue", "8002": "green"}
ADDRESSES = {f"127.0.0.1:{port}": slot for port, slot in PORTS.items()}


def entry(second=0.0, **changed):
    return {
        "ended": START.timestamp() + second,
        "routed": "daily_risk",
        "slot": "blue",
        "model": "daily_risk/7",
        "upstream": "127.0.0.1:8001",
        "upstream_status": "200",
        "upstream_seconds": "0.004",
    } | changed


def write(path, entries):
    path.write_text("".join(json.dumps(each) + "\n" for each in entries))


def seconds(path, since):
    return [each["ended"] - START.timestamp() for each in entries_since(path, since)]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(ADDRESSES)), st.sampled_from([200, 422, 500, 503]))),
)
def test_every_attempt_is_held_against_the_slot_that_made_it(attempts):
    entries = [entry(upstream=where, upstream_status=str(what)) for where, what in attempts]
    found = tally(entries, "daily_risk", PORTS)
    for address, slot in ADDRESSES.items():
        own = [what for where, what in attempts if where == address]
        assert found[slot].requests == len(own)
        assert found[slot].errors == sum(what >= 500 for what in own)


def test_a_failure_made_good_by_the_other_slot_counts_for_both():
    saved = entry(
        upstream="127.0.0.1:8002, 127.0.0.1:8001",
        upstream_status="502, 200",
        upstream_seconds="2.000, 0.004",
    )
    found = tally([saved], "daily_risk", PORTS)
    assert (found["green"].requests, found["green"].errors) == (1, 1)
    assert (found["blue"].requests, found["blue"].errors) == (1, 0)
    assert (found["green"].p95_seconds, found["blue"].p95_seconds) == (2.0, 0.004)
    assert (found["green"].versions, found["blue"].versions) == ({}, {"7": 1})


@pytest.mark.parametrize(
    "odd",
    [
        {"routed": ""},
        {"routed": "another"},
        {"upstream": "", "upstream_status": "", "upstream_seconds": "", "slot": "", "model": ""},
        {"upstream": "127.0.0.1:9999", "slot": "", "model": ""},
    ],
)
def test_what_no_slot_was_asked_for_the_product_is_no_traffic(odd):
    found = tally([entry(**odd)], "daily_risk", PORTS)
    assert {(each.requests, each.errors) for each in found.values()} == {(0, 0)}


def test_a_client_that_left_first_is_a_request_but_no_error_of_the_slot():
    left = entry(upstream_status="-", upstream_seconds="3.000", slot="", model="")
    blue = tally([left], "daily_risk", PORTS)["blue"]
    assert (blue.requests, blue.errors, blue.p95_seconds) == (1, 0, 3.0)


def test_attempts_after_an_internal_redirect_are_read():
    redirected = entry(
        upstream="127.0.0.1:8001 : 127.0.0.1:8002",
        upstream_status="504 : 200",
        upstream_seconds="1.0 : 0.1",
    )
    found = tally([redirected], "daily_risk", PORTS)
    assert (found["blue"].errors, found["green"].errors) == (1, 0)


def test_the_95th_percentile_is_the_smallest_time_that_95_percent_do_not_exceed():
    entries = [entry(upstream_seconds=f"{number / 1000}") for number in range(1, 101)]
    assert tally(entries, "daily_risk", PORTS)["blue"].p95_seconds == 0.095


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([1, 7, 64, 500, 1 << 18]))
def test_any_block_size_gives_the_entries_since_the_instant(tmp_path_factory, count, start, block):
    path = tmp_path_factory.mktemp("log") / "access.log"
    write(path, [entry(float(number)) for number in range(count)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_log, "BLOCK", block)
        found = seconds(path, START + timedelta(seconds=start))
    assert found == [float(number) for number in reversed(range(start, count))]


def test_lines_out_of_order_within_the_workers_buffers_are_found(tmp_path):
    path = tmp_path / "access.log"
    write(path, [entry(each) for each in (0.0, 9.0, 10.5, 11.0, 9.5, 10.2)])
    assert sorted(seconds(path, START + timedelta(seconds=10))) == pytest.approx([10.2, 10.5, 11.0])


def test_the_log_before_a_rotation_is_read_on(tmp_path):
    path = tmp_path / "access.log"
    write(tmp_path / "access.log.1", [entry(float(each)) for each in range(10)])
    write(path, [entry(float(each)) for each in range(10, 15)])
    assert seconds(path, START + timedelta(seconds=8)) == [14, 13, 12, 11, 10, 9, 8]
    path.unlink()
    assert seconds(path, START + timedelta(seconds=8)) == [9, 8]


def test_no_log_is_no_traffic(tmp_path):
    assert seconds(tmp_path / "access.log", START) == []
    (tmp_path / "access.log").touch()
    assert seconds(tmp_path / "access.log", START) == []


def test_an_unfinished_line_is_not_there_yet_and_a_torn_one_is_left_out(tmp_path, caplog):
    path = tmp_path / "access.log"
    write(path, [entry(0.0), entry(1.0)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"ended": 5')
    assert seconds(path, START) == [1.0, 0.0]
    path.write_bytes(whole + b'{"ended": 5\n' + whole)
    assert seconds(path, START) == [1.0, 0.0, 1.0, 0.0]
    assert "torn" in caplog.text


def test_only_the_end_of_a_long_log_is_read(tmp_path, monkeypatch):
    path = tmp_path / "access.log"
    write(path, [entry(float(number)) for number in range(20_000)])
    parsed = []
    monkeypatch.setattr(access_log.json, "loads", lambda line: parsed.append(1) or _loads(line))
    assert len(seconds(path, START + timedelta(seconds=19_990))) == 10
    assert len(parsed) < 20


_loads = json.loads
