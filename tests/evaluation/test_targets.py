import math
from functools import partial

import numpy as np
import polars as pl
import pytest
from tests.features.frames import close_of, market, no_macro, sessions, weekdays, without
from tests.features.leaks import assert_no_lookahead

from riskcast.core.errors import NoSuchSession, NotEnoughHistory
from riskcast.evaluation.targets import build_labels
from riskcast.features import build_features
from riskcast.products import DAILY_RISK
from riskcast.tables import gold

N = 640
DAYS = weekdays(N)

SPY = {"asset": "SPY", "product": DAILY_RISK}


@pytest.fixture(scope="module")
def given_():
    bars = market(N, seed=2)
    features = build_features(bars, no_macro(), asset="SPY")
    return {"market": bars, "features": features, "sessions": sessions(N)}


@pytest.fixture(scope="module")
def labels(given_):
    return build_labels(**given_, **SPY)


def test_the_columns_are_the_declared_ones(labels):
    declared = [c.name for c in gold.LABELS_DAILY.every_column]
    assert labels.columns == [c for c in declared if c != "ingested_at"]
    assert set(labels["source"]) == {"derived"}


def test_a_label_is_the_realised_volatility_of_the_next_five_sessions(given_, labels):
    ret = given_["market"].filter(pl.col("symbol") == "SPY")["ret"].to_numpy()
    for t, rv in enumerate(labels["rv_5d"]):
        assert rv == pytest.approx(math.sqrt(sum(ret[t + i] ** 2 for i in range(1, 6))), rel=1e-11)


def test_a_label_is_known_exactly_when_the_fifth_following_bar_is(labels):
    assert labels["known_at"].to_list() == [close_of(day) for day in DAYS[5:]]
    assert labels["date"].to_list() == DAYS[:-5]


def test_a_label_that_is_not_yet_known_has_no_row(labels):
    assert labels.height == N - 5
    assert labels["rv_5d"].null_count() == 0


def test_the_regime_compares_with_the_thresholds_known_at_the_session(given_, labels):
    features = given_["features"]
    for t, (rv, regime) in enumerate(labels.select("rv_5d", "regime_5d").iter_rows()):
        past = labels["rv_5d"][: max(t - 4, 0)].to_numpy()
        if len(past) < 500:
            assert regime is None
            continue
        low, high = np.quantile(past, [0.33, 0.67])
        assert features["rv5_q33"][t] == pytest.approx(low, rel=1e-12)
        assert regime == ("calm" if rv < low else "risk_off" if rv > high else "transition")
    assert set(labels["regime_5d"].drop_nulls()) == {"calm", "transition", "risk_off"}


def test_a_label_on_a_threshold_is_a_transition(given_, labels):
    rv = labels["rv_5d"][600]
    moved = given_["features"].with_columns(rv5_q33=pl.lit(rv), rv5_q67=pl.lit(rv))
    made = build_labels(
        given_["market"], moved, given_["sessions"], asset="SPY", product=DAILY_RISK
    )
    assert made["regime_5d"][600] == "transition"


def test_labels_known_by_an_instant_rest_on_what_was_known_by_then(given_):
    cuts = [close_of(day) for day in (*DAYS[5:60:3], *DAYS[500::7])]
    build = partial(build_labels, **SPY)
    assert_no_lookahead(build, given_, time="known_at", cuts=cuts, perturb_every=4)


def test_a_label_claimed_to_be_known_one_session_early_is_caught(given_):
    def early(market, features, sessions):
        made = build_labels(market, features, sessions, **SPY)
        return made.with_columns(pl.col("known_at").shift(1)).drop_nulls("known_at")

    with pytest.raises(AssertionError, match="rows become"):
        assert_no_lookahead(early, given_, time="known_at", cuts=[close_of(DAYS[300])])


def test_regimes_from_thresholds_of_the_full_sample_are_caught(given_):
    def peeking(market, features, sessions):
        rv = build_labels(market, features, sessions, **SPY)["rv_5d"]
        fixed = features.with_columns(
            rv5_q33=pl.lit(rv.quantile(0.33)), rv5_q67=pl.lit(rv.quantile(0.67))
        )
        return build_labels(market, fixed, sessions, **SPY)

    with pytest.raises(AssertionError, match="regime_5d"):
        cuts = [close_of(day) for day in DAYS[505::10]]
        assert_no_lookahead(peeking, given_, time="known_at", cuts=cuts)


def test_a_label_that_spans_a_session_without_a_bar_is_unknown(given_):
    holed = without(given_["market"], "SPY", DAYS[300])
    features = build_features(holed, no_macro(), asset="SPY")
    made = build_labels(holed, features, given_["sessions"], **SPY)
    missing = sorted(set(DAYS[:-5]) - set(made["date"]))
    assert missing == DAYS[295:301]


def test_a_bar_on_a_day_without_a_session_is_refused(given_):
    short = given_["sessions"].filter(pl.col("session") != DAYS[7])
    with pytest.raises(NoSuchSession, match=r"1 bars on days.*first 2001-01-10"):
        build_labels(given_["market"], given_["features"], short, **SPY)


def test_labels_need_the_asset(given_):
    with pytest.raises(NotEnoughHistory, match="'QQQ'"):
        build_labels(**given_, asset="QQQ", product=DAILY_RISK)
