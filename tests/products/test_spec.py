"""A product refuses what contradicts itself, and its recipe is what makes two models the same."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from riskcast.core.errors import DeclarationError
from riskcast.products import DAILY_RISK, Candidate, WalkForward
from riskcast.tables import gold

GLM = DAILY_RISK.candidate("gamma_glm")


def with_candidate(**change):
    others = [c for c in DAILY_RISK.candidates if c.name != GLM.name]
    return replace(DAILY_RISK, candidates=(*others, replace(GLM, **change)))


@pytest.mark.parametrize(
    "other",
    [
        with_candidate(columns=GLM.columns[:-1]),
        with_candidate(params=MappingProxyType({"alpha": 0.5, "range_weight": 0.5})),
        with_candidate(engine="log_ridge"),
        replace(DAILY_RISK, pool=DAILY_RISK.pool[:-1]),
        replace(DAILY_RISK, pool_name="pool_qlike"),
        replace(DAILY_RISK, scheme=WalkForward(1000, 63)),
        replace(DAILY_RISK, horizon=10),
        replace(DAILY_RISK, regime_columns=()),
        DAILY_RISK.with_regimes("50-85"),
    ],
)
def test_whatever_changes_a_forecast_is_another_recipe(other):
    assert other.recipe != DAILY_RISK.recipe
    assert other.recipe == replace(other).recipe


@pytest.mark.parametrize(
    "same",
    [
        replace(DAILY_RISK, doc="Said otherwise."),
        replace(DAILY_RISK, gate=replace(DAILY_RISK.gate, margin=0.1)),
        replace(DAILY_RISK, challengers=()),
        replace(DAILY_RISK, route="/elsewhere"),
        DAILY_RISK.with_regimes("terciles"),
    ],
)
def test_what_is_said_asked_or_tried_beside_it_is_the_same_recipe(same):
    assert same.recipe == DAILY_RISK.recipe


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"candidates": (*DAILY_RISK.candidates, Candidate("x", "log_ols", ("moon",)))}, "moon"),
        ({"naive": {"hv20": "hv21"}}, "hv21"),
        ({"thresholds": ("rv5_q33", "rv5_q66")}, "rv5_q66"),
        ({"regime_columns": ("tide",)}, "tide"),
        ({"definitions": {"thirds": ("rv5_q33", "rv5_q68")}}, "rv5_q68"),
        ({"benchmark": "oracle"}, "oracle"),
        ({"fallback_benchmark": "oracle"}, "oracle"),
        ({"pool": ("gamma_glm", "nobody")}, "nobody"),
        ({"challengers": (Candidate("y", "lightgbm_hybrid", ("tv1",), offset="no"),)}, "no"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(change, named):
    with pytest.raises(DeclarationError, match=named):
        replace(DAILY_RISK, **change)


def test_challengers_join_the_candidates_when_asked_and_the_pool_stays():
    every = DAILY_RISK.with_challengers()
    assert len(every.candidates) == len(DAILY_RISK.candidates) + len(DAILY_RISK.challengers)
    assert (every.pool, every.challengers) == (DAILY_RISK.pool, ())


def test_a_definition_of_regimes_is_chosen_by_name_or_refused():
    chosen = DAILY_RISK.with_regimes("50-85")
    assert chosen.thresholds == ("rv5_q50", "rv5_q85")
    with pytest.raises(DeclarationError, match="terciles, 50-85"):
        DAILY_RISK.with_regimes("quintiles")
    plain = replace(DAILY_RISK, definitions={})
    assert plain.with_regimes("anything") is plain


def test_some_evaluated_candidate_uses_macro_and_regime_columns():
    macro, regime = ({c.name for c in block} for block in (gold.MACRO, gold.REGIME))
    assert any(macro & {*c.columns} and regime & {*c.columns} for c in DAILY_RISK.challengers)
