"""What monitoring's verdicts start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from riskcast.core.window import Window
from riskcast.jobs.backfill import windows
from riskcast.jobs.react import EVENTS, react
from riskcast.pipelines import PIPELINES, pipeline

END = datetime(2018, 12, 31, 23, 30, tzinfo=UTC)
WINDOW = Window(END - timedelta(days=1), END)


def health(*rows: tuple[str, datetime, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["check", "at", "verdict"], orient="row")


def announced(frame: pl.DataFrame) -> list[str]:
    names: list[str] = []
    react(frame, window=WINDOW, announce=names.append)
    return names


def test_a_call_for_a_refit_is_announced_once():
    rows = health(("retrain", END, "alarm"), ("retrain", END, "alarm"), ("drift", END, "alarm"))
    assert announced(rows) == ["drift"]


def test_what_earlier_windows_called_for_is_not_announced_again():
    assert announced(health(("retrain", WINDOW.start, "alarm"))) == []


@pytest.mark.parametrize("verdict", ["ok", "warn"])
def test_what_is_no_alarm_starts_nothing(verdict):
    assert announced(health(("rollback", END, verdict))) == []


def test_every_event_of_monitoring_starts_a_pipeline():
    started = {asset for each in PIPELINES.values() for asset in each.on}
    assert set(EVENTS.values()) <= started
    assert set(pipeline("monitor").step("react").emits) == set(EVENTS.values())


# Windows of a backfill: as the schedule would have cut them.


def test_a_backfill_is_cut_into_sessions_that_join_without_gap():
    cut = windows(pipeline("market_daily"), Window.parse("2018-12-21", "2018-12-31"))
    assert [w.end.day for w in cut] == [21, 24, 26, 27, 28, 31]
    assert cut[0].start == datetime(2018, 12, 20, 22, 5, tzinfo=UTC)
    assert all(a.end == b.start for a, b in pairwise(cut))


def test_a_pipeline_without_sessions_is_backfilled_in_one_window():
    span = Window.parse("2018-12-01", "2018-12-31")
    assert windows(pipeline("fit_regimes"), span) == [span]
