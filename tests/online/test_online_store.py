"""What is published is what is served, to the bit, and nothing from the future."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from riskcast.core.errors import (
    ContractBroken,
    FeatureMissing,
    SettingsError,
    StackError,
    TableMissing,
)
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.materialise import materialise
from riskcast.online import config, store
from riskcast.online.store import FeastFeatures
from riskcast.online.tables import feature_columns
from riskcast.products import PRODUCTS
from riskcast.tables import Kind
from riskcast.tables.gold import FEATURES_DAILY

from .conftest import features, publish

EVER = Window(datetime(1999, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
NUMBERS = [c.name for c in feature_columns(FEATURES_DAILY) if c.kind in (Kind.FLOAT, Kind.INT)]


def up_to(instant: datetime) -> Window:
    return Window(EVER.start, instant)


def assert_is(row, published: dict) -> None:
    assert row.symbol == published["symbol"]
    assert row.session == published["date"]
    assert row.known_at == published["known_at"]
    assert list(row.simulated) == published["simulated"]
    assert set(row.values) == set(NUMBERS)
    for name in NUMBERS:
        if published[name] is None:
            assert row.values[name] is None, name
        else:
            assert row.values[name] == pytest.approx(published[name], rel=1e-12, abs=0), name


def test_the_latest_row_is_the_published_one(settings):
    frame = features(symbols=("SPY", "QQQ"))
    publish(settings, frame)
    materialise(settings=settings, window=EVER)
    reader = FeastFeatures(settings)
    for symbol in ("SPY", "QQQ"):
        newest = frame.filter(symbol=symbol).sort("known_at").tail(1).to_dicts()[0]
        assert_is(reader.latest(symbol), newest)


def test_fifty_random_rows_are_online_as_they_are_offline(settings):
    frame = features(sessions=400)
    publish(settings, frame)
    store.apply(settings)
    reader = FeastFeatures(settings)
    picked = np.sort(np.random.default_rng(11).choice(frame.height, 50, replace=False))
    for i in picked.tolist():
        published = frame.row(i, named=True)
        store.materialise(settings, up_to(published["known_at"]))
        assert_is(reader.latest("SPY"), published)


def test_a_newer_row_replaces_the_older_and_an_older_window_does_not(settings):
    frame = features(sessions=30)
    publish(settings, frame)
    rows = frame.to_dicts()
    reader = FeastFeatures(settings)
    for i in (10, 11, 20):
        materialise(settings=settings, window=up_to(rows[i]["known_at"]))
        assert_is(reader.latest("SPY"), rows[i])
    store.materialise(settings, up_to(rows[5]["known_at"]))
    assert_is(reader.latest("SPY"), rows[20])


def test_an_older_window_brings_only_the_symbols_it_does_not_take_back(settings):
    frame = features(symbols=("SPY", "QQQ"), sessions=30)
    late = frame["known_at"].max()
    publish(settings, frame.filter(pl.col("symbol") == "SPY"))
    materialise(settings=settings, window=up_to(late))
    publish(settings, frame)
    cut = frame["known_at"][10]
    store.materialise(settings, up_to(cut))
    reader = FeastFeatures(settings)
    assert reader.latest("SPY").known_at == late
    assert reader.latest("QQQ").known_at == cut


def test_a_corrected_row_of_the_same_instant_arrives(settings):
    frame = features(sessions=10)
    publish(settings, frame)
    materialise(settings=settings, window=EVER)
    corrected = frame.with_columns(vix=pl.lit(17.25), tv1=pl.lit(None, dtype=pl.Float64))
    publish(settings, corrected)
    materialise(settings=settings, window=EVER)
    assert_is(FeastFeatures(settings).latest("SPY"), corrected.row(-1, named=True))


def test_only_the_latest_row_of_an_entity_is_written_however_long_the_window(settings):
    publish(settings, features(symbols=("SPY", "QQQ"), sessions=300))
    store.apply(settings)
    assert store.materialise(settings, EVER) == {"features_daily": 2}


def test_running_the_step_again_changes_nothing(settings):
    publish(settings, features(sessions=10))
    materialise(settings=settings, window=EVER)
    first = FeastFeatures(settings).latest("SPY")
    assert store.materialise(settings, EVER) == {"features_daily": 0}
    assert FeastFeatures(settings).latest("SPY") == first


def test_only_what_is_newer_or_corrected_is_written(settings):
    frame = features(symbols=("SPY", "QQQ", "TLT"), sessions=10)
    cut = frame["known_at"][5]
    publish(settings, frame)
    store.apply(settings)
    assert store.materialise(settings, up_to(cut)) == {"features_daily": 3}
    publish(settings, frame.filter((pl.col("known_at") <= cut) | (pl.col("symbol") == "QQQ")))
    assert store.materialise(settings, EVER) == {"features_daily": 1}
    corrected = (pl.col("symbol") == "TLT") & (pl.col("known_at") == cut)
    publish(
        settings,
        frame.filter((pl.col("known_at") <= cut) | (pl.col("symbol") == "QQQ")).with_columns(
            vix=pl.when(corrected).then(0.0).otherwise("vix")
        ),
    )
    assert store.materialise(settings, EVER) == {"features_daily": 1}
    assert FeastFeatures(settings).latest("TLT").values["vix"] == 0.0


def test_feast_is_never_told_of_a_time_after_the_newest_row(settings):
    frame = features(sessions=10)
    publish(settings, frame)
    materialise(settings=settings, window=EVER)
    view = store.feature_store(settings).get_feature_view("features_daily")
    assert [end for _, end in view.materialization_intervals] == [frame["known_at"].max()]


def test_a_reader_older_than_the_first_apply_finds_the_row_later(settings):
    publish(settings, features(sessions=10))
    reader = FeastFeatures(settings)
    with pytest.raises(FeatureMissing, match="run the materialise step"):
        reader.latest("SPY")
    store.apply(settings)
    with pytest.raises(FeatureMissing, match="'SPY'"):
        reader.latest("SPY")
    store.materialise(settings, EVER)
    assert reader.latest("SPY").symbol == "SPY"


def test_feasts_own_materialisation_may_die_halfway(settings):
    from feast.feature_view import FeatureViewState

    frame = features(sessions=10)
    publish(settings, frame[:-1])
    materialise(settings=settings, window=EVER)
    feast = store.feature_store(settings)
    view = feast.get_feature_view("features_daily")
    view.state = FeatureViewState.MATERIALIZING
    feast.registry.apply_feature_view(view, "riskcast")
    assert FeastFeatures(settings).latest("SPY").symbol == "SPY"
    publish(settings, frame)
    store.materialise(settings, EVER)
    view = store.feature_store(settings).get_feature_view("features_daily")
    assert view.state == FeatureViewState.AVAILABLE_ONLINE


def test_an_unknown_symbol_is_missing(settings):
    publish(settings, features(sessions=10))
    materialise(settings=settings, window=EVER)
    with pytest.raises(FeatureMissing, match="'NOPE'"):
        FeastFeatures(settings).latest("NOPE")


def test_a_reader_may_be_asked_from_many_threads(settings):
    publish(settings, features(symbols=("SPY", "QQQ"), sessions=10))
    materialise(settings=settings, window=EVER)
    reader = FeastFeatures(settings)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(reader.latest, ["SPY", "QQQ"] * 20))
    assert [row.symbol for row in rows] == ["SPY", "QQQ"] * 20


def test_a_table_never_published_is_named(settings):
    with pytest.raises(TableMissing, match=r"features_daily.*publish"):
        materialise(settings=settings, window=EVER)


def test_a_damaged_database_is_named(tmp_path):
    settings = Settings(home=str(tmp_path))
    publish(settings, features(sessions=10))
    materialise(settings=settings, window=EVER)
    Path(settings.home, "feast", "online.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StackError, match="does not answer"):
        FeastFeatures(settings).latest("SPY")
    with pytest.raises(StackError, match="does not answer"):
        store.materialise(settings, EVER)


@pytest.mark.slow  # Redis is asked again for some seconds
def test_redis_that_is_down_is_named(redis_url, tmp_path):
    settings = Settings(home=str(tmp_path), redis=redis_url)
    publish(settings, features(sessions=10))
    materialise(settings=settings, window=EVER)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    down = replace(settings, redis=f"redis://127.0.0.1:{port}/0")
    with pytest.raises(StackError, match="does not answer"):
        FeastFeatures(down).latest("SPY")
    with pytest.raises(StackError, match="does not answer"):
        store.materialise(down, EVER)


@pytest.mark.slow
def test_redis_that_hangs_is_named_within_seconds(tmp_path):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        hung = Settings(home=str(tmp_path), redis=f"redis://127.0.0.1:{deaf.getsockname()[1]}")
        publish(hung, features(sessions=10))
        store.apply(hung)
        with pytest.raises(StackError, match="does not answer"):
            FeastFeatures(hung).latest("SPY")
        with pytest.raises(StackError, match="does not answer"):
            store.materialise(hung, EVER)


def test_a_damaged_registry_is_named(tmp_path):
    settings = Settings(home=str(tmp_path))
    config.registry_path(settings).parent.mkdir()
    config.registry_path(settings).write_bytes(b"\xff\xff no registry")
    with pytest.raises(StackError, match="being rewritten or damaged"):
        FeastFeatures(settings).latest("SPY")


def test_sqlite_refuses_an_instant_it_would_cut(tmp_path):
    settings = Settings(home=str(tmp_path))
    late = pl.col("known_at") + timedelta(microseconds=1)
    publish(settings, features(sessions=10).with_columns(late))
    with pytest.raises(ContractBroken, match="whole second"):
        materialise(settings=settings, window=EVER)


def test_redis_keeps_instants_to_the_microsecond(redis_url, tmp_path):
    settings = Settings(home=str(tmp_path), redis=redis_url)
    frame = features(symbols=("MIC",), sessions=10)
    frame = frame.with_columns(pl.col("known_at") + timedelta(microseconds=123456))
    publish(settings, frame)
    materialise(settings=settings, window=EVER)
    assert FeastFeatures(settings).latest("MIC").known_at == frame["known_at"].max()


# Time: what may be read at an instant.

HISTORY = features(symbols=("SPY", "QQQ"), sessions=120, seed=3)


def sees_only_what_was_known(newest, settings: Settings, as_of: datetime) -> bool:
    """Whether cutting everything after `as_of` out of the published set changes nothing."""
    publish(settings, HISTORY)
    full = newest(settings, as_of)
    publish(settings, HISTORY.filter(pl.col("known_at") <= as_of))
    return full.equals(newest(settings, as_of))


def newest(settings: Settings, as_of: datetime) -> pl.DataFrame:
    return store.newest_published(settings, FEATURES_DAILY, as_of)


def newest_by_session(settings: Settings, as_of: datetime) -> pl.DataFrame:
    """The planted leak: the session of the day counts before its close."""
    until = as_of.replace(hour=23, minute=59, second=59)
    return store.newest_published(settings, FEATURES_DAILY, until)


@bounds(max_examples=25, deadline=None)
@given(minutes=st.integers(2 * 24 * 60, 160 * 24 * 60))
def test_the_newest_row_never_looks_ahead(tmp_path_factory, minutes):
    settings = Settings(home=str(tmp_path_factory.mktemp("home")))
    assert sees_only_what_was_known(
        newest, settings, datetime(2017, 1, 2, tzinfo=UTC) + timedelta(minutes=minutes)
    )


def test_a_planted_look_ahead_is_caught(tmp_path):
    settings = Settings(home=str(tmp_path))
    before_the_close = datetime(2017, 3, 1, 15, 0, tzinfo=UTC)
    assert sees_only_what_was_known(newest, settings, before_the_close)
    assert not sees_only_what_was_known(newest_by_session, settings, before_the_close)


def as_of_join(times: pl.DataFrame, on: str) -> pl.DataFrame:
    """Each time with the row of its symbol known (`on`) last, if within the table's freshness."""
    return times.sort("event_timestamp").join_asof(
        HISTORY.with_columns(pl.col("date").cast(pl.Datetime("us", "UTC")).alias("session_at"))
        .sort(on)
        .select("symbol", on, "tv1", "vix", "date"),
        left_on="event_timestamp",
        right_on=on,
        by="symbol",
        tolerance=FEATURES_DAILY.fresh,
        check_sortedness=False,
    )


def test_historical_retrieval_is_the_as_of_join_on_known_at(tmp_path):
    settings = Settings(home=str(tmp_path))
    publish(settings, HISTORY)
    store.apply(settings)
    rng = np.random.default_rng(5)
    start = datetime(2017, 1, 3, tzinfo=UTC)
    offsets = rng.choice(190 * 24 * 60, 200, replace=False)
    times = pl.DataFrame(
        {
            "symbol": rng.choice(["SPY", "QQQ"], 200),
            "event_timestamp": [start + timedelta(minutes=int(m)) for m in offsets],
        },
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")},
    )
    asked = ["features_daily:tv1", "features_daily:vix", "features_daily:date"]
    frame = store.feature_store(settings).get_historical_features(
        entity_df=times.to_pandas().astype({"event_timestamp": pd.DatetimeTZDtype("ns", "UTC")}),
        features=asked,
    )
    columns = ["symbol", "event_timestamp", "tv1", "vix", "date"]
    got = (
        pl.from_pandas(frame.to_df())
        .with_columns(pl.col("event_timestamp").cast(pl.Datetime("us", "UTC")))
        .select(columns)
        .sort("event_timestamp", "symbol")
    )
    want = as_of_join(times, "known_at").sort("event_timestamp", "symbol")
    assert 150 < got["date"].count() < got.height
    assert got.equals(want.select(columns))
    leaking = as_of_join(times, "session_at").sort("event_timestamp", "symbol")
    assert not got.equals(leaking.select(columns))


# Configuration.


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://localhost", "localhost:6379,"),
        ("redis://:0123@h:7000/2", "h:7000,db=2,"),
        ("rediss://u:p%40ss@h:7000", 'username="u",password="p@ss",ssl=true'),
    ],
)
def test_a_redis_url_becomes_feasts_form(url, text):
    assert text in config.connection_string(url)


def test_a_password_of_digits_stays_text():
    from feast.infra.online_stores.redis import RedisOnlineStore

    said = config.connection_string("redis://:0123@h:7000/2")
    _, options = RedisOnlineStore._parse_connection_string(said)
    assert options["password"] == "0123"
    assert options["db"] == 2


@pytest.mark.parametrize("url", ["localhost:6379", "http://h", "redis://:a,b@h", "redis://h:x"])
def test_what_is_no_redis_url_is_refused(url):
    with pytest.raises(SettingsError, match="RISKCAST_REDIS"):
        config.connection_string(url)


def test_the_written_config_is_read_by_feast_as_the_same(settings):
    from feast.repo_config import load_repo_config

    path = config.write_config(settings)
    assert path.stat().st_mode & 0o077 == 0
    loaded = load_repo_config(path.parent, path)
    wanted = store.repo_config(settings)
    assert loaded.online_store == wanted.online_store
    assert loaded.registry == wanted.registry


def test_the_feature_repository_describes_the_same_store(tmp_path, monkeypatch):
    from feast.repo_config import load_repo_config
    from feast.repo_operations import parse_repo

    repo = Path(__file__).parents[2] / "feature_repo"
    monkeypatch.setenv("RISKCAST_HOME", str(tmp_path))
    loaded = load_repo_config(repo, repo / "feature_store.yaml")
    wanted = store.repo_config(Settings(home=str(tmp_path)))
    assert (loaded.project, loaded.online_store) == (wanted.project, wanted.online_store)
    assert loaded.offline_store == wanted.offline_store
    assert loaded.registry == wanted.registry

    found = parse_repo(repo)
    assert [view.name for view in found.feature_views] == ["features_daily"]
    assert [entity.name for entity in found.entities if entity.name != "__dummy"] == ["symbol"]
    assert [service.name for service in found.feature_services] == list(PRODUCTS)


def test_a_view_says_of_each_column_what_its_table_says():
    from riskcast.online.views import feast_objects

    view = next(o for o in feast_objects(Settings()) if o.name == "features_daily")
    assert {f.name: f.description for f in view.features} == {
        c.name: c.doc for c in feature_columns(FEATURES_DAILY)
    }
    assert view.batch_source.timestamp_field == "known_at"
    assert view.ttl == FEATURES_DAILY.fresh
