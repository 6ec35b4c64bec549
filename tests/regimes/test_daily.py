from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from riskcast.core.errors import NotEnoughHistory
from riskcast.core.window import Window
from riskcast.features.daily import build_features as build_market_features
from riskcast.regimes.daily import (
    CALM_STATES,
    FIT_SCHEMA,
    INPUTS,
    MIN_ROWS,
    RISK_OFF_STATES,
    add_regimes,
    build_features,
    check_adjoins,
    fit_due,
    mapped_bounds,
    mixture_of,
)
from riskcast.tables import gold, silver
from riskcast.transforms.sessions import xnys_sessions

KINDS = {
    "text": pl.String,
    "float": pl.Float64,
    "date": pl.Date,
    "instant": pl.Datetime("us", "UTC"),
}
MACRO = pl.DataFrame(schema={c.name: KINDS[c.kind] for c in silver.MACRO_ALIGNED.every_column})
NO_FITS = pl.DataFrame(schema=FIT_SCHEMA)
ALWAYS = Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
SESSIONS = xnys_sessions(date(2000, 1, 1), date(2008, 1, 1))["session"]
REGIME = [column.name for column in gold.REGIME]


def market(n: int = 1300, seed: int = 5) -> pl.DataFrame:
    """Bars whose volatility switches between three levels."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.choice([0.004, 0.01, 0.03], n // 50 + 1), 50)[:n]
    close = 100 * np.exp(np.cumsum(rng.normal(0, level)))
    days = pl.date_range(date(2000, 1, 3), date(2000, 1, 3) + timedelta(days=2 * n), eager=True)
    days = days.filter(days.is_in(SESSIONS.implode())).head(n)
    return pl.DataFrame(
        {
            "symbol": "SPY",
            "date": days,
            "open": close,
            "high": close * np.exp(level),
            "low": close * np.exp(-level),
            "close": close,
            "adj_close": close,
            "volume": 1.0,
            "price_basis": "adjusted",
            "known_at": days.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            + timedelta(hours=21, minutes=15),
            "source": "test",
        }
    ).with_columns(ret=pl.col("adj_close").log().diff())


def describe(bars: pl.DataFrame, window: Window = ALWAYS, fits: pl.DataFrame = NO_FITS):
    made = fit_due(bars, MACRO, fits, asset="SPY", window=window)
    return made, add_regimes(build_market_features(bars, MACRO, asset="SPY"), made)


@pytest.fixture(scope="module")
def whole():
    return describe(market())


def test_fits_fall_on_quarter_ends_and_need_history(whole):
    fits, described = whole
    ends = fits["fit_end"].to_list()
    assert all(end.month in (3, 6, 9, 12) and end.day >= 28 for end in ends)
    assert described.filter(pl.col("date") <= ends[0]).select(INPUTS).drop_nulls().height > MIN_ROWS
    assert fits["matched_to"].to_list() == [None, *ends[:-1]]


def test_a_session_is_described_only_by_a_fit_made_before_it(whole):
    fits, described = whole
    first = fits["fit_end"].min()
    before = described.filter(pl.col("date") <= first)["regime_cluster_id"]
    after = described.filter(pl.col("date") > first)["regime_cluster_id"]
    assert before.null_count() == before.len()
    assert after.null_count() == 0


@pytest.mark.parametrize("cut", [900, 1011, 1150, 1299])
def test_later_bars_change_no_earlier_regime(whole, cut):
    bars = market()
    _, then = describe(bars.head(cut))
    _, now = whole
    assert then.select("date", *REGIME).equals(now.head(cut).select("date", *REGIME))


def test_the_check_above_catches_a_fit_on_the_full_sample(whole):
    fits, described = whole
    leaked = fits.tail(1).with_columns(fit_end=pl.lit(date(2000, 6, 30)))
    assert not add_regimes(described, leaked).select(REGIME).equals(described.select(REGIME))


def test_fits_made_quarter_by_quarter_equal_fits_made_at_once(whole):
    bars, (at_once, _) = market(), whole
    fits = NO_FITS
    instants = [*bars["known_at"].to_list()[::40], bars["known_at"].max()]
    start = datetime(1999, 1, 1, tzinfo=UTC)
    for end in instants:
        known = bars.filter(pl.col("known_at") <= end)
        made = fit_due(known, MACRO, fits, asset="SPY", window=Window(start, end))
        fits, start = pl.concat([fits, made]), end
    assert fits.equals(at_once)


def test_more_volatile_sessions_get_higher_ids(whole):
    _, described = whole
    by_state = described.drop_nulls("regime_cluster_id").group_by("regime_cluster_id")
    order = by_state.agg(pl.col("spy_vol_20d").mean()).sort("regime_cluster_id")["spy_vol_20d"]
    assert order.is_sorted()


def day_window(day: date) -> Window:
    end = datetime(day.year, day.month, day.day, 22, 5, tzinfo=UTC)
    return Window(end - timedelta(hours=24), end)


def test_a_day_is_refused_while_the_session_before_it_was_never_loaded():
    bars = market(400)
    last, before = bars["date"][-1], bars["date"][-2]
    holed = bars.filter(pl.col("date") != before)
    with pytest.raises(NotEnoughHistory, match=f"{before}, which was never loaded"):
        build_features(holed, MACRO, NO_FITS, asset="SPY", window=day_window(last))
    whole_rows = build_features(bars, MACRO, NO_FITS, asset="SPY", window=day_window(last))
    assert whole_rows.height == 400


def test_the_first_bar_of_all_and_a_day_without_a_bar_need_nothing_before_them():
    bars = market(400)
    check_adjoins(bars.head(1), day_window(bars["date"][0]))
    check_adjoins(bars, day_window(date(2019, 1, 1)))


def test_bounds_mapped_from_states_share_labels_as_the_states_share_sessions():
    bars = market()
    fits = fit_due(bars, MACRO, NO_FITS, asset="SPY", window=ALWAYS)
    row = fits.sort("fit_end").row(-1, named=True)
    features = build_market_features(bars, MACRO, asset="SPY")
    past = features.filter(pl.col("date") <= row["fit_end"])
    low, high = mapped_bounds(past, row)
    labels = past.select((5 * pl.col("rv5").exp()).sqrt()).drop_nulls().to_series()
    whole = past.select(INPUTS).drop_nulls().to_numpy()
    names = np.asarray(row["state_names"])[mixture_of(row).probabilities(whole).argmax(axis=1)]
    calm, risk_off = np.isin(names, CALM_STATES).mean(), np.isin(names, RISK_OFF_STATES).mean()
    assert 0 < calm < 1 and 0 < risk_off < 1
    assert (labels <= low).mean() == pytest.approx(calm, abs=2 / len(labels))
    assert (labels > high).mean() == pytest.approx(risk_off, abs=2 / len(labels))


def test_a_session_has_the_bounds_of_the_fit_that_was_in_force():
    bars = market()
    made = describe(bars)[1]
    fits = fit_due(bars, MACRO, NO_FITS, asset="SPY", window=ALWAYS).sort("fit_end")
    features = build_market_features(bars, MACRO, asset="SPY")
    row = fits.row(0, named=True)
    first = made.filter(pl.col("date") > row["fit_end"]).row(0, named=True)
    seen = features.filter(pl.col("date") <= row["fit_end"])
    assert (first["rv5_calm"], first["rv5_risk_off"]) == mapped_bounds(seen, row)
    before = made.filter(pl.col("date") <= row["fit_end"])
    assert before["rv5_calm"].null_count() == before.height


def test_bounds_mapped_from_states_do_not_know_what_came_after_the_fit():
    bars = market()
    cut = bars["date"][1000]
    whole = describe(bars)[1].filter(pl.col("date") <= cut)
    short = describe(bars.filter(pl.col("date") <= cut))[1]
    names = ["rv5_calm", "rv5_risk_off"]
    assert whole.select(names).equals(short.select(names))
    # Planted: bounds from every session there is.
    row = fit_due(bars, MACRO, NO_FITS, asset="SPY", window=ALWAYS).row(0, named=True)
    features = build_market_features(bars, MACRO, asset="SPY")
    honest = mapped_bounds(features.filter(pl.col("date") <= row["fit_end"]), row)
    assert mapped_bounds(features, row) != honest
