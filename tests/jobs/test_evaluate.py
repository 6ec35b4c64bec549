"""Candidates walked one by one, in any order, are scored as if they had been walked together."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.synthetic_market import SMALL, market

from riskcast.core.errors import DeclarationError, LookAhead, TableMissing
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.losses import with_losses
from riskcast.evaluation.walk_forward import walk_forward
from riskcast.jobs.evaluate import design_of, evaluate, walk
from riskcast.lake import open_lake
from riskcast.lake.publish import content_hash
from riskcast.pipelines import TRAIN_DAILY_RISK, Step, manifest_key
from riskcast.runner import Ports, run_step, write_manifest
from riskcast.tables.output import CANDIDATE_FORECASTS, HEALTH

WINDOW = Window(datetime(2001, 1, 1, tzinfo=UTC), datetime(2005, 4, 1, tzinfo=UTC))
FEATURES, LABELS = market()
FEATURES = FEATURES.with_columns(regime_cluster_id=pl.lit(None, pl.Int64))
NAMES = tuple(candidate.name for candidate in SMALL.candidates)
# The declared step, for a product that is walked in seconds.
WALK = replace(
    TRAIN_DAILY_RISK.step("walk"), product=replace(SMALL, definitions={}), over=NAMES, reads=()
)


def walked(member: str, *, window: Window = WINDOW, features: pl.DataFrame = FEATURES):
    return walk(
        features,
        LABELS,
        product=SMALL,
        settings=Settings(),
        window=window,
        progress=lambda *_: None,
        members=(member,),
    )


@pytest.fixture(scope="module")
def forecasts():
    return pl.concat(walked(name) for name in reversed(NAMES))


def scored(forecasts: pl.DataFrame, window: Window = WINDOW) -> pl.DataFrame:
    return evaluate(FEATURES, LABELS, forecasts, product=SMALL, window=window)


def test_the_losses_are_to_the_bit_those_of_one_walk_over_all_candidates(forecasts):
    design, recipe = design_of(SMALL, FEATURES, LABELS)
    whole = with_losses(walk_forward(recipe, design, cores=2).record)
    compared = ["model", "date", "variance_hat", "variance", "qlike", "sq_error"]
    assert_frame_equal(scored(forecasts).select(compared), whole.select(compared), check_exact=True)


def test_forecasts_keep_every_bit_on_their_way_through_the_lake(forecasts, tmp_path):
    lake = open_lake(Settings(home=str(tmp_path)))
    for name in NAMES:  # each by its own write, as side by side
        lake.write(CANDIDATE_FORECASTS, forecasts.filter(model=name), WINDOW)
    stored = lake.read(CANDIDATE_FORECASTS, as_of=WINDOW.end)
    assert_frame_equal(scored(stored), scored(forecasts), check_exact=True)
    version = lake.version(CANDIDATE_FORECASTS)
    lake.write(CANDIDATE_FORECASTS, walked(NAMES[0]), WINDOW)
    assert lake.version(CANDIDATE_FORECASTS) == version, "walking again changes nothing"


def test_members_run_one_by_one_leave_what_the_step_leaves_as_a_whole(tmp_path):
    def content(home, members) -> str:
        settings = Settings(home=str(tmp_path / home))
        ports = Ports(settings)
        step = replace(WALK, run=f"{__name__}:walk_the_market")
        for member in members:
            report = run_step(step, WINDOW, ports, member=member)
            write_manifest(settings, "train", "run 1", WINDOW, report, member=member)
        return content_hash(ports.lake.read(CANDIDATE_FORECASTS), CANDIDATE_FORECASTS)

    assert content("apart", reversed(NAMES)) == content("whole", [""])
    for name in NAMES:
        left = tmp_path / "apart" / "lake" / manifest_key("train", "walk", "run 1", name)
        assert json.loads(left.read_text())["rows"][CANDIDATE_FORECASTS.name] > 0


def walk_the_market(**given):
    return walk(FEATURES, LABELS, **given)


def test_a_candidate_that_the_data_at_hand_cannot_have_leaves_no_rows():
    simulated = FEATURES.with_columns(lvix=pl.lit(None, pl.Float64))
    assert walked("log_har_vix", features=simulated).is_empty()
    assert not walked("log_har", features=simulated).is_empty()


def test_a_candidate_that_was_not_walked_is_named_with_the_cure(forecasts):
    with pytest.raises(TableMissing, match=r"0 of the .* lightgbm_hybrid .*--member lightgbm_"):
        scored(forecasts.filter(pl.col("model") != "lightgbm_hybrid"))


def test_forecasts_of_a_training_that_knew_more_are_refused(forecasts):
    later = Window(WINDOW.start, WINDOW.end + timedelta(days=7))
    planted = forecasts.with_columns(as_of=pl.lit(later.end))
    with pytest.raises(TableMissing, match="as of 2005-04-01"):
        scored(planted)
    assert scored(planted, later).height == scored(forecasts).height


def test_a_forecast_that_rests_on_a_later_session_is_refused(forecasts):
    planted = forecasts.with_columns(fit_end=pl.col("fit_end").max())
    with pytest.raises(LookAhead, match="rest on later data"):
        scored(planted)


def test_a_forecast_is_known_at_the_close_of_its_own_session(forecasts):
    known = forecasts.join(FEATURES, on="date", suffix="_of_features")
    assert (known["known_at"] == known["known_at_of_features"]).all()


def test_cut_history_leaves_earlier_forecasts_as_they_were(forecasts):
    cut = FEATURES["date"].sort()[900]
    before = FEATURES.filter(pl.col("date") <= cut)
    known = forecasts.filter(pl.col("date") <= cut, model="gamma_glm").drop("recipe")
    again = walked("gamma_glm", features=before).drop("recipe")
    assert_frame_equal(again, known, check_exact=True)


def test_a_member_that_a_step_does_not_have_is_refused():
    with pytest.raises(DeclarationError, match="no member 'arima'; it has log_har"):
        WALK.members("arima")
    with pytest.raises(DeclarationError, match="it has none"):
        TRAIN_DAILY_RISK.step("gate").members("log_har")


def test_a_step_of_members_cannot_write_what_each_of_them_would_replace():
    with pytest.raises(DeclarationError, match="the last one's rows only"):
        Step("x", "m:f", writes=(HEALTH,), over=("a", "b"))
