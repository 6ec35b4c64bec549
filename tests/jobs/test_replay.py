"""A past session comes out again to the bit, or the replay says what does not."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))
from small_model import small_model

from riskcast.cli import app
from riskcast.core.errors import NoSuchSession, SettingsError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.lineage import parse_prediction, prediction_lineage
from riskcast.jobs.replay import Replay, replay
from riskcast.lake import DeltaLake, open_lake
from riskcast.pipelines import MARKET_DAILY
from riskcast.products import DAILY_RISK
from riskcast.registry import Registry
from riskcast.runner import Ports, run_step
from riskcast.tables.bronze import RAW_MARKET
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.output import PREDICTIONS_DAILY
from riskcast.transforms.sessions import session_known_at

STEPS = (
    "ingest_sessions", "ingest_market", "ingest_macro", "curate_market", "curate_macro",
    "fit_regimes", "features", "labels", "forecast",
)  # fmt: skip
HISTORY = Window.parse("1999-01-01", "2004-12-20")
DAYS = [date(2004, 12, d) for d in (21, 22, 23, 27, 28, 29, 30, 31)]
AT_ONCE = [date(2004, 12, d) for d in (14, 15, 16, 17, 20)]
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    """A home where a week was forecast in one run and the next one day by day."""
    settings = Settings(home=str(tmp_path_factory.mktemp("home")))
    registry = Registry(settings)
    # Columns that are real in the sample; others would be refused to a model.
    model = small_model(fit_end=date(2004, 12, 14), columns=("tv1", "tv5", "tv22", "spy_vol_10d"))
    said = {"metrics": {"qlike": 0.3}, "params": {}, "lineage": {}, "tags": {}}
    registry.promote("daily_risk", registry.register("daily_risk", model, **said), who="t", why="t")
    ports = Ports(settings)
    windows = [HISTORY, *(Window.parse(str(day), str(day)) for day in DAYS)]
    for window in windows:
        for name in STEPS:
            run_step(MARKET_DAILY.step(name), window, ports)
    return settings


@pytest.fixture
def lake(settings, tmp_path) -> DeltaLake:
    """A copy that a test may spoil."""
    import shutil

    shutil.copytree(Path(settings.lake_root), tmp_path / "lake")
    return DeltaLake(str(tmp_path / "lake"))


def again(settings: Settings, day: date, lake: DeltaLake | None = None) -> Replay:
    lake = open_lake(settings) if lake is None else lake
    return replay(day, lake=lake, registry=Registry(settings), product=DAILY_RISK, asset="GSPC")


@pytest.mark.parametrize("day", [*AT_ONCE, *DAYS])
def test_a_forecast_session_comes_out_again_to_the_bit(settings, day):
    found = again(settings, day)
    assert found.equal, found.differences
    assert found.slots == ("champion",)
    assert found.known_at == session_known_at(day)
    assert found.compared == {"features_daily": 76, "predictions_daily": 19}
    assert found.notes == ()


@pytest.mark.parametrize("day", [date(1999, 1, 4), date(2001, 9, 17), date(2003, 6, 2)])
def test_a_session_without_a_forecast_is_replayed_as_far_as_there_is_something(settings, day):
    found = again(settings, day)
    assert found.equal, found.differences
    assert found.slots == ()
    assert "no forecast was published" in found.notes[0]


@pytest.mark.parametrize("day", [date(2004, 12, 25), date(1998, 12, 31), date(2005, 1, 3)])
def test_a_day_without_published_features_is_named(settings, day):
    with pytest.raises(NoSuchSession, match=f"{day}.*1999-01-04 to 2004-12-31"):
        again(settings, day)


def restated(rows: pl.DataFrame, known_at: datetime) -> pl.DataFrame:
    """Every bar once more at half its price, told at the instant."""
    prices = pl.col("open", "high", "low", "close", "adj_close") * 0.5
    at = pl.lit(known_at).cast(rows.schema["known_at"])
    return rows.with_columns(prices, known_at=at).drop("ingested_at")


def test_what_was_told_later_changes_no_replay(settings, lake):
    later = session_known_at(DAYS[-1]) + timedelta(seconds=1)
    lake.write(
        RAW_MARKET,
        restated(lake.read(RAW_MARKET), later),
        Window(later.replace(year=2003), FOREVER),
    )
    for day in (AT_ONCE[0], DAYS[3], date(2003, 6, 2)):
        assert again(settings, day, lake).equal


class TellsTheLast(DeltaLake):
    """Planted leak: the vintage told last, under the instant of the first."""

    def read(self, table, **how):
        rows = super().read(table, **how)
        if table is not RAW_MARKET:
            return rows
        every = super().read(table, all_vintages=True).sort("known_at")
        last = every.unique(["symbol", "date"], keep="last").drop("known_at")
        first = every.unique(["symbol", "date"], keep="first").select("symbol", "date", "known_at")
        joined = last.join(first, on=["symbol", "date"]).select(rows.columns)
        return joined.filter(pl.col("known_at") <= how["as_of"])


def test_a_replay_that_sees_what_was_told_later_is_caught(settings, lake):
    wrong = lake.read(RAW_MARKET).filter(symbol="GSPC", date=DAYS[1])
    later = session_known_at(DAYS[5])
    lake.write(RAW_MARKET, restated(wrong, later), Window(later - timedelta(1), FOREVER))
    assert again(settings, DAYS[3], lake).equal
    assert not again(settings, DAYS[3], TellsTheLast(lake.root)).equal


def tampered(lake: DeltaLake, table, day: date, column: str) -> None:
    """Change one bit of a published value."""
    rows = lake.read(table).drop("ingested_at")
    up = pl.col(column) * (1 + 2e-16)
    changed = rows.with_columns(pl.when(pl.col("date") == day).then(up).otherwise(pl.col(column)))
    lake.write(table, changed, Window(datetime(1900, 1, 1, tzinfo=UTC), FOREVER))


def test_one_bit_of_a_feature_is_a_difference_that_is_named(settings, lake):
    tampered(lake, FEATURES_DAILY, DAYS[2], "spy_vol_20d")
    found = again(settings, DAYS[2], lake)
    assert [(d.table, d.column) for d in found.differences] == [("features_daily", "spy_vol_20d")]
    assert again(settings, DAYS[1], lake).equal


def test_one_bit_of_a_forecast_is_a_difference_that_is_named(settings, lake):
    tampered(lake, PREDICTIONS_DAILY, DAYS[2], "hi_95")
    found = again(settings, DAYS[2], lake)
    assert [(d.table, d.column) for d in found.differences] == [("predictions_daily", "hi_95")]
    assert found.differences[0].published > found.differences[0].rebuilt


def test_another_model_under_the_same_number_is_a_difference(settings, lake):
    rows = lake.read(PREDICTIONS_DAILY).drop("ingested_at")
    mine = rows.filter(pl.col("date") == DAYS[-1])["lineage"][0]
    said = json.loads(mine) | {"digest": "0" * 64}
    lake.write(
        PREDICTIONS_DAILY,
        rows.with_columns(lineage=pl.lit(json.dumps(said))),
        Window(datetime(1900, 1, 1, tzinfo=UTC), FOREVER),
    )
    assert [d.column for d in again(settings, DAYS[-1], lake).differences] == ["model digest"]


def test_bronze_that_lacks_the_session_cannot_make_it(settings, lake):
    rows = lake.read(PREDICTIONS_DAILY).drop("ingested_at").sort("date")
    early = rows["lineage"][0]
    everything = Window(datetime(1900, 1, 1, tzinfo=UTC), FOREVER)
    lake.write(PREDICTIONS_DAILY, rows.with_columns(lineage=pl.lit(early)), everything)
    found = again(settings, DAYS[-1], lake)
    assert {d.rebuilt for d in found.differences} == {"cannot be made"}


@pytest.fixture
def run(settings, monkeypatch):
    monkeypatch.setenv("RISKCAST_HOME", settings.home)
    monkeypatch.setenv("RISKCAST_SOURCE", "sample")
    return lambda *words: CliRunner().invoke(app, list(words))


def test_the_command_ends_with_0_where_equal(run):
    done = run("replay", "--date", "2004-12-29")
    assert done.exit_code == 0, done.output
    assert "equal to the bit" in done.output


def test_the_command_ends_with_5_and_a_table_where_different(run, lake, monkeypatch):
    tampered(lake, FEATURES_DAILY, DAYS[2], "spy_vol_20d")
    monkeypatch.setenv("RISKCAST_LAKE", lake.root)
    done = run("replay", "--date", str(DAYS[2]))
    assert done.exit_code == 5, done.output
    assert "spy_vol_20d" in done.output
    assert "equal to the bit" not in done.output


# Lineage


def test_a_forecast_names_every_table_it_was_made_from(settings):
    lake = open_lake(settings)
    found = prediction_lineage(lake, "GSPC", DAYS[-1])
    assert set(found.versions) == {
        "raw.market", "raw.macro", "sessions", "curated.market_daily",
        "curated.macro_release_aligned", "regime_fits", "features_daily", "labels_daily",
    }  # fmt: skip
    assert found.versions["features_daily"] == lake.version(FEATURES_DAILY)
    assert all(
        commit and commit.version == found.versions[n] for n, commit in found.commits.items()
    )


def test_an_earlier_forecast_names_earlier_versions(settings):
    lake = open_lake(settings)
    first, last = (prediction_lineage(lake, "GSPC", day) for day in (AT_ONCE[0], DAYS[-1]))
    assert first.versions["raw.market"] == 0
    assert last.versions["raw.market"] == len(DAYS)
    assert first.commits["raw.market"].at < last.commits["raw.market"].at


def test_the_command_prints_model_code_and_versions(run, settings):
    done = run("lineage", "--prediction", "GSPC:2004-12-31")
    assert done.exit_code == 0, done.output
    digest = Registry(settings).load("daily_risk", "champion").digest
    for said in ("version 1, fit to 2004-12-14", digest, "raw.market", "features_daily"):
        assert said in done.output


def test_a_forecast_that_was_never_published_is_named(settings):
    with pytest.raises(NoSuchSession, match=r"2001-01-12 by the champion.*newest is of 2004-12-31"):
        prediction_lineage(open_lake(settings), "GSPC", date(2001, 1, 12))


def test_a_prediction_is_written_symbol_date_slot():
    assert parse_prediction("SPY:2018-12-31") == ("SPY", date(2018, 12, 31), "champion")
    assert parse_prediction("SPY:2018-12-31:previous") == ("SPY", date(2018, 12, 31), "previous")
    with pytest.raises(SettingsError, match="SYMBOL:DATE"):
        parse_prediction("SPY 2018-12-31")
