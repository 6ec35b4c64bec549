import math
from functools import partial

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.frames import OTHERS, bars, macro, market, no_macro, weekdays, without
from tests.features.leaks import assert_no_lookahead

from riskcast.core.clock import seconds
from riskcast.core.errors import ContractBroken, NotEnoughHistory
from riskcast.features import build_features
from riskcast.tables import gold

SPY = partial(build_features, asset="SPY")
N = 150


def frames(n, **how):
    # A gap and a late starter, as real data has them.
    days = weekdays(n)
    holed = without(market(n, **how), "VIX", days[n // 2])
    return {"market": without(holed, "HYG", *days[: n // 3]), "macro": macro(n)}


def test_the_columns_are_the_declared_ones():
    made = build_features(market(40), macro(40), asset="SPY")
    declared = [c.name for c in gold.FEATURES_DAILY.every_column]
    assert made.columns == [c for c in declared if c != "ingested_at"]
    regime = [c.name for c in gold.REGIME]
    assert made.select(regime).null_count().row(0) == (40,) * len(regime)
    assert made.schema["regime_cluster_id"] == pl.Int64
    assert made.schema["simulated"] == pl.List(pl.String)
    assert set(made["source"]) == {"derived"}
    assert set(made["symbol"]) == {"SPY"}


def test_a_row_is_known_when_the_bar_of_the_asset_is():
    given_ = market(40)
    made = build_features(given_, no_macro(), asset="SPY")
    own = given_.filter(pl.col("symbol") == "SPY")
    assert made["known_at"].to_list() == own["known_at"].to_list()
    assert made["date"].to_list() == own["date"].to_list()


def test_the_order_of_the_bars_does_not_matter():
    given_ = market(80)
    shuffled = given_.sample(fraction=1.0, shuffle=True, seed=1)
    assert SPY(given_, macro(80)).equals(SPY(shuffled, macro(80)))


def test_another_asset_is_only_another_name():
    one = build_features(market(80), no_macro(), asset="SPY")
    renamed = market(80).with_columns(pl.col("symbol").replace("SPY", "ESTX"))
    other = build_features(renamed, no_macro(), asset="ESTX")
    assert other.drop("symbol").equals(one.drop("symbol"))


def test_an_asset_without_bars_is_refused_by_name():
    with pytest.raises(NotEnoughHistory, match="no bar of the asset 'QQQ', it has DXY, GLD"):
        build_features(market(10), no_macro(), asset="QQQ")
    with pytest.raises(NotEnoughHistory, match="no symbol at all"):
        build_features(market(10).clear(), no_macro(), asset="SPY")


def test_a_change_of_price_basis_within_the_history_is_refused():
    mixed = pl.concat(
        [bars("SPY", [0.01] * 30).head(20), bars("SPY", [0.01] * 30, basis="index")[20:]]
    )
    with pytest.raises(ContractBroken, match=r"one price_basis.*adjusted but index on 2001-01-29"):
        build_features(mixed, no_macro(), asset="SPY")


@pytest.mark.parametrize("basis", ["adjusted", "index"])
def test_no_row_depends_on_later_rows_wherever_history_is_cut(basis):
    assert_no_lookahead(SPY, frames(N, basis=basis))


def test_thresholds_do_not_depend_on_later_labels():
    given_ = frames(530)
    assert_no_lookahead(SPY, given_, cuts=weekdays(530)[498::3], perturb_every=2)


def leaking(leak):
    def build(market, macro):
        return build_features(market, macro, asset="SPY").with_columns(leak)

    return build


PLANTED = {
    "centred window": pl.col("tv5").rolling_mean(5, center=True),
    "tomorrow": pl.col("vix").shift(-1),
    "backfill": pl.col("hv20").backward_fill(),
    "full-sample z-score": (pl.col("lvix") - pl.col("lvix").mean()) / pl.col("lvix").std(),
    "median fill": pl.col("corr_spy_tlt_20d").fill_null(pl.col("corr_spy_tlt_20d").median()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_caught(name):
    leak = PLANTED[name]
    with pytest.raises(AssertionError, match=leak.meta.output_name()):
        assert_no_lookahead(leaking(leak), frames(90))


def test_a_threshold_from_the_full_sample_is_caught():
    rv = (pl.col("spy_ret_1d") ** 2).rolling_sum(5).sqrt()
    leak = pl.when(pl.col("rv5_q33").is_not_null()).then(rv.quantile(0.33)).alias("rv5_q33")
    with pytest.raises(AssertionError, match="rv5_q33"):
        assert_no_lookahead(leaking(leak), frames(530), cuts=weekdays(530)[510::5])


def test_a_leak_that_survives_truncation_is_caught_by_replacing_the_future():
    vix = bars("VIX", [0.0] * 40, level=15.0, basis="index")
    still = pl.concat([bars("SPY", [0.0] * 40), vix])
    leak = pl.col("vix").shift(-1).fill_null(15.0)  # what a cut leaves, by luck, is the truth
    with pytest.raises(AssertionError, match=r"vix.*values after"):
        assert_no_lookahead(leaking(leak), {"market": still, "macro": no_macro()})


def test_an_output_that_loses_rows_when_cut_is_caught():
    def build(market, macro):
        return build_features(market, macro, asset="SPY").head(-2)

    with pytest.raises(AssertionError, match="rows become"):
        assert_no_lookahead(build, frames(40))


def in_bounds(made):
    for column in gold.FEATURES_DAILY.columns:
        values = made[column.name]
        if values.dtype == pl.Float64:
            assert values.is_finite().all(), column.name
            assert column.low is None or not (values < column.low).any(), column.name
            assert column.high is None or not (values > column.high).any(), column.name


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, 1e-12, -1e-9, 0.01, -0.02, 0.7, -1.2]) | st.floats(-0.3, 0.3),
        min_size=1,
        max_size=120,
    ),
    st.sampled_from(["adjusted", "index"]),
)
def test_values_are_finite_and_within_the_declared_bounds(returns, basis):
    own = bars("SPY", returns, basis=basis)
    # VIX moves less, to stay below the 200 that its column allows.
    calm = np.multiply(returns, 0.02)
    others = [bars(s, calm if s.startswith("VIX") else returns, level=15.0) for s in OTHERS]
    in_bounds(build_features(pl.concat([own, *others]), no_macro(), asset="SPY"))


def test_a_value_that_is_no_number_is_unknown():
    given_ = frames(100)
    holed = {
        name: frame.with_columns(
            pl.when(pl.int_range(pl.len()) % 17 == 5)
            .then(math.nan)
            .otherwise(cs.float())
            .name.keep()
        )
        for name, frame in given_.items()
    }
    in_bounds(SPY(**holed))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-2, 1e3), st.sampled_from(["adjusted", "index"]))
def test_the_scale_of_prices_does_not_matter(seed, scale, basis):
    given_ = market(N, seed=seed, basis=basis)
    # VIX is itself a measure, not a price; its term structure is a ratio of two measures.
    priced = ~pl.col("symbol").str.starts_with("VIX")
    prices = pl.col("open", "high", "low", "close", "adj_close")
    scaled = given_.with_columns(pl.when(priced).then(prices * scale).otherwise(prices))
    one, other = SPY(given_, no_macro()), SPY(scaled, no_macro())
    for name in one.select(cs.float()).columns:
        x, y = one[name].to_numpy(), other[name].to_numpy()
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9, err_msg=name)


def test_thresholds_are_quantiles_of_the_labels_known_by_then():
    made = build_features(market(620), no_macro(), asset="SPY")
    ret = made["spy_ret_1d"].to_numpy()
    labels = np.array([math.sqrt((ret[s + 1 : s + 6] ** 2).sum()) for s in range(615)])
    for t in (504, 505, 560, 619):
        known = labels[: t - 4]  # rv_5d(s) for s <= t - 5
        for q in (33, 50, 67, 85):
            assert made[f"rv5_q{q}"][t] == pytest.approx(np.quantile(known, q / 100), rel=1e-12)
    assert made["rv5_q33"][:504].null_count() == 504


def test_twenty_five_years_take_a_moment():
    given_ = market(6300)
    build_features(given_, no_macro(), asset="SPY")
    started = seconds()
    build_features(given_, no_macro(), asset="SPY")
    assert seconds() - started < 1.5


def test_the_index_that_ships_with_the_sample_gives_every_return_column():
    sp500 = pytest.importorskip("arch.data.sp500").load()
    index = pl.from_pandas(sp500.reset_index()).select(
        symbol=pl.lit("GSPC"),
        date=pl.col("Date").cast(pl.Date),
        open=pl.lit(None, pl.Float64),
        high=pl.col("High"),
        low=pl.col("Low"),
        close=pl.col("Close"),
        adj_close=pl.col("Adj Close"),
        ret=pl.col("Adj Close").log().diff(),
        price_basis=pl.lit("index"),
        known_at=pl.col("Date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        source=pl.lit("arch"),
    )
    made = build_features(index, no_macro(), asset="GSPC")
    own = [
        c.name
        for c in (*gold.MARKET, *gold.CORE, *gold.BASELINES, *gold.THRESHOLDS)
        if not c.symbols
    ]
    assert made.select(own)[600:].null_count().sum_horizontal().item() == 0
    in_bounds(made)
    assert math.sqrt(252 * math.exp(made["tv22"].mean())) == pytest.approx(0.13, abs=0.04)
    assert_no_lookahead(
        partial(build_features, asset="GSPC"),
        {"market": index, "macro": no_macro()},
        cuts=made["date"][::700].to_list(),
        perturb_every=1,
    )
