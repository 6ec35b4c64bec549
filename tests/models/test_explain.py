"""A forecast is told in one plain sentence, and every feature that serves has words."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskcast.models.explain import sentence
from riskcast.products import PRODUCTS
from riskcast.tables import gold
from riskcast.tables.themes import THEMES

COLUMNS = ("lvix", "dvix1", "tv5", "rv22", "r1neg", "skew_20d")


def told(*effects: float, columns=COLUMNS) -> str:
    return sentence(columns, np.array([*effects, -7.5]))


def test_the_largest_groups_are_named_with_what_they_do_to_volatility():
    # exp(0.54 / 2) - 1 = 31%, exp(0.1 / 2) - 1 = 5%, all together exp(0.64 / 2) - 1 = 38%
    assert told(0.5, 0.04, 0.0, 0.0, 0.1, 0.0) == (
        "Risk is 38% above its usual level, mainly because VIX is high or rising (+31%)."
    )


def test_a_second_reason_and_one_against_are_told_if_they_matter():
    assert told(-0.2, 0.0, -0.32, 0.1, 0.18, 0.0) == (
        "Risk is 11% below its usual level, mainly because recent sessions were calm (-10%) and "
        "VIX is low or falling (-10%); against that, prices have been falling (+9%)."
    )


def test_three_reasons_are_told_at_most():
    said = told(0.2, 0.0, 0.3, 0.0, 0.25, 0.15)
    assert "volatile (+16%), prices have been falling (+13%) and VIX is high" in said
    assert "lopsided" not in said


def test_a_forecast_near_the_base_is_near_the_usual_level():
    assert told(0.1, 0.0, -0.09, 0.0, 0.0, 0.0).startswith("Risk is near its usual level: VIX is")
    assert told(0, 0, 0, 0, 0, 0) == "Risk is near its usual level: nothing stands out."


def test_a_column_without_a_theme_is_named_itself():
    said = told(0.4, columns=("brand_new",))
    assert said == "Risk is 22% above its usual level, mainly because brand_new raises it (+22%)."


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_the_sentence_agrees_with_the_sum_of_contributions(effects):
    said, change = told(*effects), np.expm1(sum(effects) / 2)
    found = re.match(r"Risk is (\d+)% (above|below) its usual level", said)
    if abs(change) >= 0.03:
        assert int(found[1]) == round(100 * abs(change)) or abs(abs(change) * 100 % 1 - 0.5) < 1e-6
        assert found[2] == ("above" if change > 0 else "below")
    else:
        assert "near its usual level" in said


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_no_reason_is_told_that_pulls_the_other_way(effects):
    reasons = told(*effects).split("mainly because ")[-1].split("; against")[0]
    if "mainly" in told(*effects):
        signs = set(re.findall(r"\(([+-])\d+%\)", reasons))
        assert signs == {"+" if sum(effects) > 0 else "-"}


def test_every_column_of_a_pool_has_one_theme_and_every_theme_has_columns_that_exist():
    spelled = [name for theme in THEMES for name in theme.columns]
    assert len(spelled) == len(set(spelled))
    assert set(spelled) <= {column.name for column in gold.FEATURES_DAILY.every_column}
    for product in PRODUCTS.values():
        served = {c for name in product.pool for c in product.candidate(name).columns}
        assert served <= set(spelled)
