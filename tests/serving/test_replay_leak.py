"""A replay must not see what came later. The check is shown to catch planted leaks."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_world import EVER, SESSIONS, MemoryRows, known_at, rows

from riskcast.lake import DeltaLake, MemoryLake
from riskcast.serving.features import LakeFeatures
from riskcast.tables import gold

EVERY = rows()


def _features(frame: pl.DataFrame, kind: type[LakeFeatures]) -> LakeFeatures:
    features = kind(MemoryRows(frame), "GSPC")
    features.latest("GSPC")
    return features


def check_blind_to_the_future(session: date, kind: type[LakeFeatures] = LakeFeatures) -> None:
    """Assert that the row of `session` is the same whatever came after it was known."""
    then = EVERY.filter(pl.col("known_at") <= known_at(session))
    later = EVERY.with_columns(
        pl.when(pl.col("known_at") > known_at(session))
        .then(pl.col(name) + 1.0)
        .otherwise(pl.col(name))
        for name in ("tv1", "lvix", "rv5_q33")
    )
    truth = _features(then, kind).on(session)
    assert _features(EVERY, kind).on(session) == truth  # truncation changes nothing
    assert _features(later, kind).on(session) == truth  # nor does another future
    assert truth.session == session


@given(st.sampled_from(SESSIONS[:-1]))
def test_a_replayed_row_does_not_depend_on_later_rows(session):
    check_blind_to_the_future(session)


class _Newest(LakeFeatures):
    """Planted leak: hands out the newest row for any session."""

    def on(self, session):
        return self.latest("GSPC")


class _OffByOne(LakeFeatures):
    """Planted leak: one value comes from the following session."""

    def on(self, session):
        row = super().on(session)
        after = min((day for day in self.sessions if day > session), default=session)
        return type(row)(
            row.symbol, row.session, row.known_at, {**super().on(after).values}, row.simulated
        )


@pytest.mark.parametrize("leak", [_Newest, _OffByOne])
def test_the_check_catches_a_planted_leak(leak):
    with pytest.raises(AssertionError):
        check_blind_to_the_future(SESSIONS[10], leak)


def test_the_lake_is_read_as_of_the_sessions_own_instant():
    asked = []

    class Watched(MemoryRows):
        def read(self, table, *, as_of=None, **rest):
            asked.append(as_of)
            return super().read(table, as_of=as_of, **rest)

    features = LakeFeatures(Watched(EVERY), "GSPC")
    features.latest("GSPC")
    asked.clear()
    features.on(SESSIONS[5])
    assert asked == [known_at(SESSIONS[5])]


@pytest.mark.parametrize("session", [SESSIONS[0], SESSIONS[20], SESSIONS[-1]])
def test_every_lake_replays_the_same_row(session, tmp_path):
    found = []
    for lake in (MemoryRows(EVERY), MemoryLake(), DeltaLake(str(tmp_path))):
        if not isinstance(lake, MemoryRows):
            lake.write(gold.FEATURES_DAILY, EVERY, EVER)
        features = LakeFeatures(lake, "GSPC")
        assert features.latest("GSPC").session == SESSIONS[-1]
        found.append(features.on(session))
    assert found[0] == found[1] == found[2]


def test_a_row_not_yet_known_is_not_served():
    tomorrow = EVERY.with_columns(
        known_at=pl.when(pl.col("date") == SESSIONS[-1])
        .then(pl.lit(known_at(SESSIONS[-1]) + timedelta(days=365 * 200)))
        .otherwise(pl.col("known_at"))
        .cast(EVERY.schema["known_at"])
    )
    features = LakeFeatures(MemoryRows(tomorrow), "GSPC")
    assert features.latest("GSPC").session == SESSIONS[-2]
    assert SESSIONS[-1] not in features.sessions
