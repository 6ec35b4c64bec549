"""Availability against the promise: a year of probes and of the ledger, with planted outages."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

from riskcast.cli import app
from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.lake import open_lake
from riskcast.rollout.availability import EVERY, PROMISE, availability, probes_of
from riskcast.rollout.journal import Journal

START = datetime(2018, 1, 1, tzinfo=UTC)
END = datetime(2019, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
STEPS = ((0, "canary"), (20, "flip"), (30, "promote"))  # seconds after a rollout began


def a_year_of_ledger():
    """A first model, then a new one each week."""
    rows = [(START - WEEK, "promote", "1", None)]
    for week in range(1, 52):
        began = START + week * WEEK
        rows += [(began + timedelta(seconds=s), a, str(week + 1), str(week)) for s, a in STEPS]
    return pl.DataFrame(rows, schema=["at", "action", "model_version", "previous"], orient="row")


def a_year_of_probes():
    """One every five minutes, each answered by the version of its week."""
    at = pl.datetime_range(START, END, EVERY, closed="left", eager=True).alias("at")
    week = (pl.col("at") - START).dt.total_microseconds() // (WEEK // timedelta(microseconds=1))
    serving = pl.min_horizontal(week + 1, 52).cast(pl.String)
    return at.to_frame().with_columns(status=pl.lit(200), version=serving)


def down(probes, begin, lasting):
    out = pl.col("at").is_between(begin, begin + lasting, closed="left")
    return probes.with_columns(
        status=pl.when(out).then(502).otherwise("status"),
        version=pl.when(out).then(pl.lit("")).otherwise("version"),
    )


@pytest.fixture(scope="module")
def year():
    return a_year_of_probes(), a_year_of_ledger()


def test_a_year_of_weekly_rollouts_without_an_outage_is_wholly_available(year):
    found = availability(*year, START, END)
    assert found.probes == 365 * 24 * 12
    assert (found.share, found.covered, found.lower_bound, found.kept) == (1.0, 1.0, 1.0, True)


@pytest.mark.parametrize(("hours", "kept"), [(87, True), (88, False)])
def test_the_promise_allows_one_hundredth_of_the_year_and_no_more(year, hours, kept):
    probes, ledger = year
    outage = timedelta(hours=hours)  # 1% of a year is 87.6 hours
    found = availability(down(probes, START + 9 * WEEK, outage), ledger, START, END)
    assert found.failed == hours * 12
    assert found.share == pytest.approx(1 - hours / 8760)
    assert found.kept is kept
    assert found.promise == PROMISE


def test_time_without_probes_counts_as_down_in_the_bound_and_not_in_the_share(year):
    probes, ledger = year
    silent = probes.filter(
        ~pl.col("at").is_between(START, START + timedelta(days=4), closed="left")
    )
    found = availability(silent, ledger, START, END)
    assert found.share == 1.0
    assert found.lower_bound == found.covered == pytest.approx(361 / 365)
    assert not found.kept


def test_an_answer_of_a_version_that_had_been_replaced_is_no_service(year):
    probes, ledger = year
    stale = pl.col("at").is_between(START + 3 * WEEK, START + 3 * WEEK + timedelta(hours=1))
    wrong = probes.with_columns(version=pl.when(stale).then(pl.lit("3")).otherwise("version"))
    found = availability(wrong, ledger, START, END)
    # Of 13 answers by version 3 those of the canary, and of a minute after the end, are right.
    assert (found.failed, found.misplaced) == (0, 12)


def test_before_the_first_deployment_nothing_is_available(year):
    probes, ledger = year
    found = availability(probes, ledger.filter(pl.col("at") > END), START, END)
    assert (found.good, found.misplaced) == (0, found.probes)


def test_no_probes_are_no_service_and_an_empty_span_is_an_error(year):
    found = availability(year[0].clear(), year[1], START, END)
    assert (found.share, found.lower_bound, found.kept) == (0.0, 0.0, False)
    with pytest.raises(ValueError, match="no time"):
        availability(*year, END, START)


def test_requests_of_the_access_log_are_probes_but_for_the_clients_own_faults():
    def entry(status, routed="daily_risk", model="daily_risk/2", path="/predict"):
        return {"ended": 1.5, "status": status, "routed": routed, "model": model, "path": path}

    entries = [
        entry(200),
        entry(422),
        entry(502, model=""),
        entry(200, routed=""),
        entry(200, path="/health"),
    ]
    found = probes_of(entries, "daily_risk")
    assert found["status"].to_list() == [200, 502]
    assert found["version"].to_list() == ["2", ""]


def test_the_command_judges_nginxs_own_log(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKCAST_HOME", str(tmp_path))
    settings = Settings(home=str(tmp_path))
    journal = Journal(open_lake(settings), "daily_risk")
    journal.note("promote", "2", None, who="a test", why="to be asked", event="promote|2")
    asked = wall() + timedelta(seconds=1)
    log = settings.home_path / "logs" / "nginx-access.log"
    log.parent.mkdir(parents=True)
    lines = [
        {
            "ended": asked.timestamp(),
            "status": status,
            "routed": "daily_risk",
            "model": f"daily_risk/{version}" if version else "",
            "path": "/predict",
        }
        for status, version in [(200, "2"), (200, "2"), (422, "2"), (200, "1"), (503, "")]
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr("riskcast.cli.rollout.wall", lambda: asked + timedelta(minutes=1))
    result = CliRunner().invoke(app, ["rollout", "availability", "--hours", "1", "--json"])
    said = json.loads(result.stdout)
    assert (said["probes"], said["good"], said["failed"], said["misplaced"]) == (4, 2, 1, 1)
    assert (said["share"], said["kept"], said["covered"]) == (0.5, False, pytest.approx(1 / 12))
    told = CliRunner().invoke(app, ["rollout", "availability", "--hours", "1"]).stdout
    assert "50.000% of them, promised 99%" in told
