"""What is served is what was trained on: rows of the lake against rows of the online store."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest
from tests.online.conftest import features, publish
from tests.online.test_history import sound

from riskcast.core.clock import wall
from riskcast.core.errors import ServingError
from riskcast.core.window import Window
from riskcast.lake import MemoryLake
from riskcast.online import store
from riskcast.products import DAILY_RISK
from riskcast.products.daily_risk import CORE
from riskcast.serving.features import LakeFeatures
from riskcast.serving.forecast import known_values
from riskcast.serving.live import Live
from riskcast.tables.gold import FEATURES_DAILY

WINDOW = Window.parse("2016-01-01", "2018-12-31")


def compare(settings, rows: int) -> float:
    """Store that many rows online, one entity each; return the largest relative difference."""
    frame = features(symbols=[f"S{n}" for n in range(rows)], sessions=1, seed=rows)
    publish(settings, frame)
    store.apply(settings)
    assert store.materialise(settings, WINDOW) == {FEATURES_DAILY.name: rows}
    reader, worst = store.FeastFeatures(settings), 0.0
    for row in frame.iter_rows(named=True):
        served = reader.latest(row["symbol"])
        assert (served.session, served.known_at) == (row["date"], row["known_at"])
        assert list(served.simulated) == row["simulated"]
        for name, value in served.values.items():
            if value is None or row[name] is None:
                assert value is row[name], name
            else:
                worst = max(worst, abs(value - row[name]) / max(abs(row[name]), 1e-300))
    return worst


def test_two_hundred_rows_are_served_as_they_were_stored(settings, record_property):
    worst = compare(settings, 200)
    record_property("largest relative difference", worst)
    assert worst <= 1e-9


@pytest.mark.slow
def test_a_thousand_rows_are_served_as_they_were_stored(settings, record_property):
    worst = compare(settings, 1_000)
    record_property("largest relative difference", worst)
    assert worst <= 1e-9


# Refusals: what must not be answered from the one must not be answered from the other.

MODEL = SimpleNamespace(needed=(*CORE, *DAILY_RISK.thresholds))
EVER = Window(datetime(1999, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def of_every_kind(rows: int) -> pl.DataFrame:
    """A row per symbol: one in four is stale, one in four lacks a value, some are simulated."""
    now = wall().replace(microsecond=0)
    n = pl.int_range(pl.len())
    frame = features(symbols=[f"S{i}" for i in range(rows)], sessions=1, seed=rows)
    age = pl.when(n % 4 == 1).then(timedelta(hours=101)).otherwise(timedelta(hours=99))
    whole = sound(frame.with_columns(pl.col(*CORE, *DAILY_RISK.thresholds).fill_null(0.01)))
    return whole.with_columns(
        tv5=pl.when(n % 4 == 2).then(None).otherwise("tv5"),
        known_at=(pl.lit(now) - age).cast(pl.Datetime("us", "UTC")),
    )


def said(settings, reader, lake: MemoryLake, symbol: str) -> tuple[object, dict[str, float]]:
    """Return the refusal of the serving code, if it is one, or the values it would use."""
    own = replace(settings, source="live", asset=symbol)
    history = LakeFeatures(lake, symbol)
    live = Live(own, DAILY_RISK, None, reader or history, history)
    try:
        live.look_for_features()
        return "answered", known_values(MODEL, live.latest_row(), {}, FEATURES_DAILY)
    except ServingError as error:
        return error.code, {}


def compare_refusals(settings, rows: int) -> Counter:
    frame = of_every_kind(rows)
    lake = MemoryLake()
    lake.write(FEATURES_DAILY, frame, EVER)
    publish(settings, frame)
    store.apply(settings)
    store.materialise(settings, EVER)
    reader, counts = store.FeastFeatures(settings), Counter()
    for symbol in (*frame["symbol"], "NEVER_STORED"):
        offline = said(settings, None, lake, symbol)
        online = said(settings, reader, lake, symbol)
        assert online[0] == offline[0], symbol
        assert online[1] == pytest.approx(offline[1], rel=1e-9, abs=0), symbol
        counts[online[0]] += 1
    return counts


def check(counts: Counter, rows: int) -> None:
    assert counts.total() == rows + 1
    assert counts["feature-stale"] == rows // 4
    assert counts["feature-missing"] > rows // 4
    assert counts["answered"] > rows // 8


def test_what_is_refused_offline_is_refused_online(settings, record_property):
    counts = compare_refusals(settings, 40)
    record_property("rows by answer", dict(counts))
    check(counts, 40)


@pytest.mark.slow
def test_of_a_thousand_rows_the_same_are_refused_offline_and_online(settings, record_property):
    counts = compare_refusals(settings, 1_000)
    record_property("rows by answer", dict(counts))
    check(counts, 1_000)
