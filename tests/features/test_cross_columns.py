from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.features.frames import macro, market, no_macro, weekdays, without

from riskcast.features import build_features
from riskcast.features.cross import LOOKBACK, SYMBOLS
from riskcast.tables import gold

N = 130
DAYS = weekdays(N)
READERS = {s: [c.name for c in gold.FEATURES_DAILY.columns if s in c.symbols] for s in SYMBOLS}


@pytest.fixture(scope="module")
def made_up():
    return market(N, seed=3)


@pytest.fixture(scope="module")
def made(made_up):
    return build_features(made_up, no_macro(), asset="SPY")


def prices(frame, symbol):
    return frame.filter(pl.col("symbol") == symbol)["adj_close"].to_numpy()


def mark(frame, symbol, days, **values):
    chosen = (pl.col("symbol") == symbol) & pl.col("date").is_in(days)
    return frame.with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_correlations_are_those_of_numpy(made_up, made):
    own = np.diff(np.log(prices(made_up, "SPY")))
    for symbol in ("TLT", "HYG"):
        other = np.diff(np.log(prices(made_up, symbol)))
        column = made[f"corr_spy_{symbol.lower()}_20d"]
        assert column.null_count() == 20
        for t in range(20, N):
            expected = np.corrcoef(own[t - 20 : t], other[t - 20 : t])[0, 1]
            assert column[t] == pytest.approx(expected, abs=1e-10)


def test_moves_of_other_markets_span_twenty_sessions(made_up, made):
    for symbol in (*gold.SECTORS, "DXY", "GLD"):
        p = prices(made_up, symbol)
        np.testing.assert_allclose(
            made[f"{symbol.lower()}_ret_20d"][20:].to_numpy(), np.log(p[20:] / p[:-20]), atol=1e-12
        )
    hyg, tlt = prices(made_up, "HYG"), prices(made_up, "TLT")
    spread = np.log(hyg[20:] / hyg[:-20]) - np.log(tlt[20:] / tlt[:-20])
    np.testing.assert_allclose(made["hyg_tlt_spread"][20:].to_numpy(), spread, atol=1e-12)


def test_oil_may_fall_below_zero(made_up):
    sunk = mark(made_up, "WTI", [DAYS[100]], adj_close=-37.63)
    p = prices(sunk, "WTI")
    made = build_features(sunk, no_macro(), asset="SPY")["wti_chg_20d"]
    for t in range(20, N):
        expected = (p[t] - p[t - 20]) / np.abs(p[t - 19 : t + 1]).mean()
        assert made[t] == pytest.approx(expected, abs=1e-10)


def test_a_correlation_with_a_market_that_stands_still_is_unknown(made_up):
    still = mark(made_up, "TLT", DAYS[50:90], adj_close=100.0)
    made = build_features(still, no_macro(), asset="SPY")["corr_spy_tlt_20d"]
    assert made.is_null().arg_true().to_list() == [*range(20), *range(70, 90)]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_absent_symbol_makes_exactly_its_columns_unknown(made_up, made, symbol):
    lacking = build_features(made_up.filter(pl.col("symbol") != symbol), no_macro(), asset="SPY")
    changed = [c for c in made.columns if not made[c].equals(lacking[c], null_equal=True)]
    assert sorted(changed) == sorted(READERS[symbol])
    assert all(lacking[name].null_count() == N for name in changed)


def test_a_missing_bar_is_never_filled(made_up):
    holed = build_features(without(made_up, "TLT", DAYS[80]), no_macro(), asset="SPY")
    unknown = holed["corr_spy_tlt_20d"].is_null().arg_true().to_list()
    # Two returns need the bar of session 80: that into it and that out of it.
    assert unknown == [*range(20), *range(80, 101)]
    vix = build_features(without(made_up, "VIX", DAYS[80]), no_macro(), asset="SPY")
    assert vix["vix"].is_null().arg_true().to_list() == [80]
    assert vix["vixgap"].is_null().arg_true().to_list() == [*range(21), 80]
    assert vix["dvix5"].is_null().arg_true().to_list() == [*range(5), *range(80, 86)]


def test_sessions_of_another_market_that_the_asset_lacks_are_ignored(made_up):
    made = build_features(without(made_up, "SPY", DAYS[60]), no_macro(), asset="SPY")
    assert DAYS[60] not in made["date"].to_list()
    assert made.height == N - 1
    p = prices(made_up, "GLD")
    row = made.filter(pl.col("date") == DAYS[70]).row(0, named=True)
    # Twenty sessions of the asset back is one more of the other market's.
    assert row["gld_ret_20d"] == pytest.approx(np.log(p[70] / p[49]))


def test_a_bar_that_came_late_is_not_seen_by_the_rows_before(made_up, made):
    late = made_up.with_columns(
        known_at=pl.when((pl.col("symbol") == "VIX") & (pl.col("date") == DAYS[80]))
        .then(pl.col("known_at") + timedelta(days=1))
        .otherwise("known_at")
    )
    seen = build_features(late, no_macro(), asset="SPY")
    blind = seen.row(80, named=True)
    assert all(blind[name] is None for name in READERS["VIX"])
    after = [*range(80), *range(81, N)]
    assert seen[after].equals(made[after])


def test_a_simulated_bar_marks_its_session_and_the_windows_over_it(made_up):
    frame = mark(made_up, "VIX", [DAYS[10]], source="simulated")
    frame = mark(frame, "TLT", [DAYS[10], DAYS[11]], source="simulated")
    named = build_features(frame, no_macro(), asset="SPY")["simulated"].to_list()
    assert named[9] == []
    assert named[10] == ["TLT", "VIX"]
    assert named[10 + LOOKBACK - 1] == ["TLT", "VIX"]
    assert named[10 + LOOKBACK] == ["TLT"]
    assert named[11 + LOOKBACK] == []


def test_only_symbols_that_a_feature_uses_are_named_as_simulated(made_up):
    doge = made_up.filter(pl.col("symbol") == "GLD").with_columns(
        symbol=pl.lit("DOGE"), source=pl.lit("simulated")
    )
    named = build_features(pl.concat([made_up, doge]), no_macro(), asset="SPY")["simulated"]
    assert named.list.len().sum() == 0


def test_a_simulated_macro_row_and_a_simulated_asset_are_named(made_up):
    frame = mark(made_up, "SPY", DAYS, source="simulated")
    named = build_features(frame, macro(50, source="simulated"), asset="SPY")["simulated"]
    assert named[49].to_list() == ["MACRO", "SPY"]
    assert named[50].to_list() == ["SPY"]


def test_macro_columns_are_those_of_the_session_and_null_without_a_row(made_up):
    aligned = macro(50)
    made = build_features(made_up, aligned, asset="SPY")
    for column in gold.MACRO:
        assert made[column.name][:50].to_list() == aligned[column.name].to_list()
        assert made[column.name][50:].null_count() == N - 50


def test_a_macro_row_known_after_the_close_is_not_used(made_up):
    aligned = macro(N).with_columns(pl.col("known_at") + timedelta(hours=12))
    made = build_features(made_up, aligned, asset="SPY")
    assert made["slope_10y_2y"].null_count() == N
