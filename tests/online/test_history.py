"""What training reads through Feast is the lake's as-of join, cell by cell."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from riskcast.cli.cloud import declared
from riskcast.core.errors import ContractBroken, DeclarationError, TableMissing
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import MemoryLake
from riskcast.online import store
from riskcast.online.history import historical, training_rows
from riskcast.online.offline_store import as_of_join
from riskcast.online.tables import service_columns
from riskcast.pipelines import PIPELINES, TRAIN_DAILY_RISK, Step
from riskcast.products import DAILY_RISK, PRODUCTS
from riskcast.runner import Ports
from riskcast.tables.gold import FEATURES_DAILY, LABELS_DAILY

from .conftest import features, publish

NAMES = [column.name for column in service_columns(DAILY_RISK)]
ALWAYS = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def sound(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with every value inside the bounds of its column."""
    bounded = (c for c in FEATURES_DAILY.columns if c.low is not None or c.high is not None)
    return frame.with_columns(pl.col(c.name).clip(c.low, c.high) for c in bounded)


HISTORY = sound(features(symbols=("SPY", "QQQ"), sessions=120, seed=3))


@pytest.fixture
def home(tmp_path) -> Settings:
    return Settings(home=str(tmp_path / "home"))


def lake_of(frame: pl.DataFrame) -> MemoryLake:
    lake = MemoryLake()
    lake.write(FEATURES_DAILY, frame, ALWAYS)
    return lake


def lakes_as_of(lake: MemoryLake, asked: pl.DataFrame) -> pl.DataFrame:
    """The newest row that the lake knows of each symbol at each instant, read one by one."""
    rows = []
    for symbol, instant in asked.select("symbol", "known_at").iter_rows():
        known = lake.read(FEATURES_DAILY, as_of=instant).filter(
            pl.col("symbol") == symbol, pl.col("known_at") >= instant - FEATURES_DAILY.fresh
        )
        newest = known.sort("known_at", "date").tail(1).select(NAMES)
        rows.append(newest if newest.height else newest.clear(1))
    return pl.concat([asked, pl.concat(rows)], how="horizontal")


def instants(count: int, seed: int = 5) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    start = datetime(2016, 12, 25, tzinfo=UTC)
    minutes = rng.choice(190 * 24 * 60, count, replace=False)
    known = HISTORY["known_at"].sample(count // 4, with_replacement=True, seed=seed).to_list()
    at = [start + timedelta(minutes=int(m)) for m in minutes[: count - len(known)]] + known
    return pl.DataFrame(
        {"symbol": rng.choice(["SPY", "QQQ", "NEW"], count), "known_at": at},
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )


def test_every_product_has_a_feature_service_of_what_it_reads(home):
    publish(home, HISTORY)
    store.apply(home)
    feast = store.feature_store(home)
    for product in PRODUCTS.values():
        service = feast.get_feature_service(product.name)
        (view,) = service.feature_view_projections
        offered = {feature.name for feature in view.features}
        assert offered >= {*product.columns, "date", "simulated"}
        assert offered == {column.name for column in service_columns(product)}
        assert service.description == product.doc


def test_historical_retrieval_equals_the_lakes_as_of_read_in_every_cell(home, record_property):
    publish(home, HISTORY)
    asked = instants(400)
    want = lakes_as_of(lake_of(HISTORY), asked)
    got = historical(home, DAILY_RISK, asked)
    assert got.select(want.columns).equals(want, null_equal=True)
    assert 0 < want["date"].null_count() < want.height, "fresh, stale and unknown are all asked"
    record_property("cells equal", want.height * len(NAMES))


def test_training_reads_the_rows_that_the_lake_knows_and_says_them_back(home):
    publish(home, HISTORY)
    as_of = HISTORY["known_at"][60]
    known = lake_of(HISTORY).read(FEATURES_DAILY, as_of=as_of)
    assert training_rows(home, DAILY_RISK, known).equals(known, null_equal=True)
    assert training_rows(home, DAILY_RISK, known.clear()).is_empty()


# Planted leaks: each must be seen.


def test_a_late_row_does_not_come_in_before_it_was_known(home):
    """A session's row that came three days late is unknown at that session's own close."""
    late = pl.col("date") == HISTORY["date"][50]
    moved = pl.when(late).then(pl.col("known_at") + timedelta(days=3, minutes=1))
    frame = HISTORY.with_columns(moved.otherwise("known_at").alias("known_at"))
    publish(home, frame)
    day = HISTORY.filter(late, symbol="SPY")
    asked = day.select("symbol", "known_at")
    assert historical(home, DAILY_RISK, asked)["date"].item() == HISTORY["date"][49]
    publish(home, HISTORY)  # the same row, dated back to its session
    assert historical(home, DAILY_RISK, asked)["date"].item() == HISTORY["date"][50]


def test_a_join_on_the_session_instead_of_the_instant_is_caught(home):
    publish(home, HISTORY)
    asked = instants(400)
    at_midnight = HISTORY.with_columns(known_at=pl.col("date").cast(pl.Datetime("us", "UTC")))
    publish(home, at_midnight)
    leaking = historical(home, DAILY_RISK, asked)
    want = lakes_as_of(lake_of(HISTORY), asked)
    assert not leaking.select(want.columns).equals(want, null_equal=True)


def test_a_join_that_reaches_forward_is_caught(home):
    publish(home, HISTORY)
    asked = instants(400)
    nearest = asked.sort("known_at").join_asof(
        HISTORY.sort("known_at"),
        on="known_at",
        by="symbol",
        strategy="forward",
        check_sortedness=False,
    )
    want = lakes_as_of(lake_of(HISTORY), asked).sort("known_at", "symbol")
    assert not nearest.select(want.columns).equals(want, null_equal=True)


@pytest.mark.parametrize("what", ["one bit of a value", "a row missing", "a value filled"])
def test_what_is_published_but_not_in_the_lake_is_refused(home, what):
    row = (pl.col("symbol") == "SPY") & (pl.col("date") == HISTORY["date"][40])
    if what == "a row missing":
        changed = HISTORY.filter(~row)
    else:
        known = HISTORY.filter(pl.col("tv5").is_not_null(), symbol="SPY")["date"][0]
        blank = HISTORY.filter(pl.col("tv5").is_null(), symbol="SPY")["date"][0]
        day = known if what == "one bit of a value" else blank
        ulp = pl.col("tv5").fill_null(1.0) * (1 + 2**-52)
        at = (pl.col("symbol") == "SPY") & (pl.col("date") == day)
        changed = HISTORY.with_columns(tv5=pl.when(at).then(ulp).otherwise("tv5"))
    publish(home, changed)
    known = lake_of(HISTORY).read(FEATURES_DAILY)
    with pytest.raises(ContractBroken, match=r"1 of 240 rows differ.*publish step"):
        training_rows(home, DAILY_RISK, known)


def test_of_rows_known_at_one_instant_the_last_counts():
    at = datetime(2020, 1, 2, tzinfo=UTC)
    asked = pl.DataFrame({"symbol": ["SPY"], "event_timestamp": [at]})
    rows = pl.DataFrame({"symbol": ["SPY"] * 2, "known_at": [at] * 2, "tv1": [1.0, 2.0]})
    got = as_of_join(asked, rows, keys=["symbol"], known="known_at", ttl=None)
    assert got.to_dicts() == [{"symbol": "SPY", "event_timestamp": at, "tv1": 2.0}]


def test_a_table_never_published_is_named(home):
    with pytest.raises(TableMissing, match=r"features_daily.*publish step"):
        training_rows(home, DAILY_RISK, HISTORY)


# Training itself.


def test_training_steps_read_their_features_through_feast(home):
    reads = {
        (step.name, read.table.name)
        for pipeline in PIPELINES.values()
        for step in pipeline.steps
        for read in step.reads
        if read.retrieved
    }
    names = ("evaluate", "gate", "register")
    assert reads == {(name, FEATURES_DAILY.name) for name in names}
    roles = json.loads(declared())["tasks"]  # on AWS a step may read what it declares, no more
    assert all("published" in roles[f"{TRAIN_DAILY_RISK.name}-{name}"]["reads"] for name in names)
    lake = lake_of(HISTORY)
    ports = Ports(home, lake=lake)
    window = Window(ALWAYS.start, HISTORY["known_at"][60])
    step = TRAIN_DAILY_RISK.step("evaluate")
    with pytest.raises(TableMissing, match="publish step"):
        ports.read(step.reads[0], step, window)
    publish(home, HISTORY)
    got = ports.read(step.reads[0], step, window)
    assert got.equals(lake.read(FEATURES_DAILY, as_of=window.end), null_equal=True)


def test_a_step_cannot_retrieve_what_is_not_its_products_features():
    with pytest.raises(DeclarationError, match="labels_daily"):
        Step("x", "m:f", reads=(LABELS_DAILY.retrieved(),), product=DAILY_RISK)


def test_thirty_years_are_retrieved(home):
    frame = sound(features(sessions=7_800, start=date(1993, 1, 4)))
    publish(home, frame)
    store.apply(home)
    known = lake_of(frame).read(FEATURES_DAILY)
    assert training_rows(home, DAILY_RISK, known).height == 7_800


def test_a_session_whose_file_came_with_the_next_one_is_trained_on_as_the_lake_has_it(home):
    first, second = HISTORY["date"].unique().sort()[-3:-1].to_list()
    then = HISTORY.filter(date=second)["known_at"][0]
    late = HISTORY.with_columns(
        known_at=pl.when(pl.col("date") == first).then(then).otherwise("known_at")
    )
    publish(home, late)
    known = lake_of(late).read(FEATURES_DAILY)
    assert training_rows(home, DAILY_RISK, known).select(NAMES).equals(known.select(NAMES))
