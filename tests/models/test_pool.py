"""The pool's one pass against what its members say one by one."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_design import COLUMNS, HYBRID, design, offset

from riskcast.models.gamma_glm import GammaGlm
from riskcast.models.linear import LogOls, LogRidge
from riskcast.models.pool import Member, Pool
from riskcast.models.xgboost_hybrid import XgboostHybrid

ROWS = design()
OFFSET = offset(ROWS)
OLS = LogOls(("lvix", "tv1")).fit(ROWS, seed=0)
GLM = GammaGlm(("tv1", "tv5", "r1neg"), alpha=0.02).fit(ROWS, seed=0)
RIDGE = LogRidge(("r1neg", "tv22"), alpha=50.0).fit(ROWS, seed=0)
LIGHTGBM = HYBRID.fit(ROWS, seed=1, offset=OFFSET)
XGBOOST = XgboostHybrid(COLUMNS[::-1], 12, 0.3, 3, 5.0, 0.8, 0.8).fit(ROWS, seed=2, offset=OFFSET)
DEEP = replace(HYBRID, max_depth=-1, num_leaves=31).fit(ROWS, seed=3, offset=OFFSET)
NAMES = ("gamma_glm", "ridge", "lightgbm", "xgboost", "deep")


def pool(weights: tuple[float, ...], used: tuple[str, ...] = NAMES) -> Pool:
    """OLS, as an offset only, and the members that are used; xgboost starts from the GLM."""
    fitted = dict(zip(NAMES, (GLM, RIDGE, LIGHTGBM, XGBOOST, DEEP), strict=True))
    starts = {"lightgbm": "ols", "xgboost": "gamma_glm", "deep": "ols"}
    members = [
        Member(name, "", weight, starts.get(name, ""), fitted[name])
        for name, weight in zip(NAMES, weights, strict=True)
        if name in used or name == "gamma_glm"
    ]
    return Pool((Member("ols", "", 0.0, "", OLS), *members), COLUMNS)


def one_by_one(pool: Pool, x: np.ndarray) -> np.ndarray:
    """The definition: each member's own effects and those of what it starts from, weighted."""
    total, effects = np.zeros((len(x), len(COLUMNS) + 1)), {}
    for member in pool.members:
        index = [COLUMNS.index(name) for name in member.fitted.columns]
        own = member.fitted.contributions(x[:, index], np.zeros(len(x)))
        spread = np.zeros(total.shape)
        spread[:, index], spread[:, -1] = own[:, :-1], own[:, -1]
        if member.offset:
            spread += effects[member.offset]
        effects[member.name] = spread
        total += member.weight * spread
    return total


@given(
    weights=st.tuples(*[st.floats(0, 1)] * len(NAMES)),
    used=st.sets(st.sampled_from(NAMES), min_size=1).map(tuple),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 20.0]),
)
@settings(max_examples=60, deadline=None)
def test_one_pass_gives_what_the_members_give(weights, used, seed, scale):
    made = pool(weights, used)
    rng = np.random.default_rng(seed)
    x = ROWS.x[rng.choice(len(ROWS.x), 40)] + scale * rng.normal(size=(40, len(COLUMNS)))
    effects = made.contributions(x)
    np.testing.assert_allclose(effects, one_by_one(made, x), atol=1e-12, rtol=1e-12)


def test_effects_of_shares_of_one_add_up_to_the_log_variance():
    made = pool((0.1, 0.2, 0.3, 0.3, 0.1))
    gap = made.contributions(ROWS.x).sum(axis=1) - made.log_variance(ROWS.x)
    assert np.abs(gap).max() < 1e-6


def test_a_row_alone_gets_the_same_effects_to_the_bit():
    made = pool((0.3, 0.2, 0.2, 0.3, 0.0), NAMES[:4])
    together = made.contributions(ROWS.x)
    alone = [made.contributions(ROWS.x[i : i + 1])[0] for i in range(len(ROWS.x))]
    np.testing.assert_array_equal(together, np.array(alone))


@pytest.mark.parametrize("used", [("gamma_glm",), ("lightgbm",), ("deep",), NAMES])
def test_a_missing_value_is_left_to_each_member(used):
    made = pool((0.2,) * 5, used)
    x = ROWS.x[:6].copy()
    x[2, 1] = x[4, 3] = np.nan
    np.testing.assert_allclose(made.contributions(x), one_by_one(made, x), atol=1e-12)
    assert np.isfinite(made.contributions(x)).all()


def test_a_pool_without_trees_or_lines_is_explained_too():
    lines = Pool((Member("ridge", "", 1.0, "", RIDGE),), COLUMNS)
    np.testing.assert_allclose(lines.contributions(ROWS.x), one_by_one(lines, ROWS.x), atol=1e-12)
    trees = Pool(
        (Member("trees", "", 1.0, "", replace(LIGHTGBM, fit_end=date(2020, 1, 1))),), COLUMNS
    )
    np.testing.assert_allclose(trees.contributions(ROWS.x), one_by_one(trees, ROWS.x), atol=1e-12)
