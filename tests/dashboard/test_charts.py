"""Charts show what the frames say."""

from datetime import UTC, date, datetime
from math import exp, sqrt

import polars as pl
import pytest

from riskcast.dashboard import charts

DAYS = [date(2018, 12, 27), date(2018, 12, 28), date(2018, 12, 31)]


def published(n):
    return pl.DataFrame(
        {
            "date": DAYS[-n:],
            "rv_5d_hat": [0.04] * n,
            **{f"lo_{level}": [0.04 - level / 4000] * n for level in (50, 80, 95)},
            **{f"hi_{level}": [0.04 + level / 4000] * n for level in (50, 80, 95)},
        }
    )


OUTCOME = pl.DataFrame({"date": DAYS[:2], "rv_5d": [0.02, 0.03], "regime_5d": ["calm", "risk_off"]})
WALKED = pl.DataFrame({"date": DAYS[:2], "variance_hat": [0.0004, 0.0009]})


def named(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


@pytest.mark.parametrize("n", [1, 3])
def test_the_fan_shows_outcome_forecast_and_every_band_in_percent_a_year(n):
    shown = named(charts.fan(OUTCOME, WALKED, published(n)))
    assert shown["what came"].y == pytest.approx([2 * sqrt(50.4), 3 * sqrt(50.4)])
    assert shown["walk-forward forecast"].y == pytest.approx([2 * sqrt(50.4), 3 * sqrt(50.4)])
    assert shown["published forecast"].y == pytest.approx([4 * sqrt(50.4)] * n)
    for level in (50, 80, 95):
        high = max(shown[f"{level}% interval"].y)
        assert high == pytest.approx(100 * (0.04 + level / 4000) * sqrt(50.4))


def test_the_fan_without_any_forecast_still_shows_what_came():
    assert "what came" in named(charts.fan(OUTCOME, WALKED, published(3).clear()))


def test_probabilities_add_up_to_the_whole_bar_and_differ_in_pattern():
    figure = charts.probabilities({"calm": 0.2, "transition": 0.3, "risk_off": 0.5})
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(100)
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 3


def test_each_regime_marks_its_own_sessions_with_its_own_symbol():
    shown = named(charts.ribbon(OUTCOME))
    assert list(shown["calm"].x) == DAYS[:1]
    assert list(shown["risk-off"].x) == DAYS[1:2]
    assert len({shown[name].marker.symbol for name in ("calm", "transition", "risk-off")}) == 3


def test_a_driver_is_shown_as_its_change_of_volatility():
    drivers = pl.DataFrame({"name": ["lvix", "tv5"], "effect": [0.4, -0.2], "meaning": ["", ""]})
    (bar,) = charts.waterfall(drivers).data
    assert list(bar.x) == pytest.approx([100 * (exp(0.2) - 1), 100 * (exp(-0.1) - 1)])
    assert bar.marker.color[0] != bar.marker.color[1]


def test_the_heat_map_has_a_row_for_each_subject_and_the_worst_verdict_of_each_look():
    at = [datetime(2018, 12, day, tzinfo=UTC) for day in (27, 27, 28, 28)]
    health = pl.DataFrame(
        {
            "at": at,
            "subject": ["vix", "vix", "vix", "tv5"],
            "verdict": ["ok", "alarm", "ok", "warn"],
        }
    )
    (grid,) = charts.heat(health).data
    rows = dict(zip(grid.y, grid.z.tolist(), strict=True))
    assert rows["vix"] == [1.0, 0.0]
    assert rows["tv5"][1] == 0.5


def test_the_timeline_tells_who_and_why():
    ledger = pl.DataFrame(
        {
            "at": [datetime(2018, 12, 28, tzinfo=UTC), datetime(2018, 12, 27, tzinfo=UTC)],
            "action": ["rollback", "promote"],
            "model_version": ["1", "2"],
            "who": ["guardrail", "train"],
            "why": ["loss doubled", "beats the champion"],
        }
    )
    (line,) = charts.timeline(ledger).data
    assert list(line.y) == ["2", "1"]
    assert list(line.customdata[1]) == ["guardrail", "loss doubled"]


def test_coverage_names_its_levels_and_keeps_what_chance_explains_within_reason():
    table = pl.DataFrame(
        {"level": [50, 95], "promised": [50.0, 95.0], "gate": [None, 94.0], "since": [10.0, 20.0],
         "spread": [69.0, 30.0], "sessions": [10, 10]}
    )  # fmt: skip
    figure = charts.coverage(table)
    promised = figure.data[0]
    assert list(promised.x) == ["50%", "95%"]
    assert list(promised.error_y.array) == [50.0, 5.0]
    assert list(promised.error_y.arrayminus) == [50.0, 30.0]
    assert figure.layout.xaxis.type == "category"


def test_reliability_has_the_diagonal_and_a_symbol_for_each_regime():
    table = pl.DataFrame(
        {"regime": ["calm", "risk_off"], "said": [0.2, 0.7], "came": [0.1, 0.9],
         "sessions": [10, 12]}
    )  # fmt: skip
    diagonal, *regimes = charts.reliability(table).data
    assert list(diagonal.x) == list(diagonal.y) == [0, 100]
    assert len({each.marker.symbol for each in regimes}) == 3
    assert list(regimes[2].x) == [70.0]


def test_probabilities_along_time_add_up():
    rows = pl.DataFrame(
        {"date": [date(2018, 12, 28), date(2018, 12, 31)], "p_calm": [0.2, 0.1],
         "p_transition": [0.3, 0.2], "p_risk_off": [0.5, 0.7]}
    )  # fmt: skip
    bars = charts.probabilities_along(rows).data
    assert [sum(each) for each in zip(*(bar.y for bar in bars), strict=True)] == [100.0, 100.0]
