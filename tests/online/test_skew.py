"""What is served is what was trained on: rows of the lake against rows of the online store."""

from __future__ import annotations

import pytest
from tests.online.conftest import features, publish

from riskcast.core.window import Window
from riskcast.online import store
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
