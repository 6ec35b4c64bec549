from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_design import COLUMNS, HYBRID, design, offset

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models.lightgbm_hybrid import load

ROWS = design()
FITTED = HYBRID.fit(ROWS, seed=1, offset=offset(ROWS))


def test_trees_lower_the_qlike_of_their_offset():
    def loss(log_h):
        ratio = ROWS.y / np.exp(log_h)
        return (ratio - np.log(ratio) - 1).mean()

    assert loss(FITTED.log_variance(ROWS.x, offset(ROWS))) < loss(offset(ROWS))


def test_contributions_add_up_to_the_forecast():
    x = ROWS.x.copy()
    x[5, 2] = np.nan
    effects = FITTED.contributions(x, offset(ROWS))
    assert effects.shape == (len(x), len(COLUMNS) + 1)
    gap = effects.sum(axis=1) - FITTED.log_variance(x, offset(ROWS))
    assert np.abs(gap).max() < 1e-9


def test_the_offset_moves_forecast_and_base_one_to_one():
    start = offset(ROWS)
    moved = FITTED.contributions(ROWS.x, start + 1) - FITTED.contributions(ROWS.x, start)
    np.testing.assert_allclose(moved[:, -1], 1.0)
    assert (moved[:, :-1] == 0).all()


def test_the_same_seed_gives_the_same_trees_on_any_number_of_threads():
    again = replace(HYBRID, threads=2).fit(ROWS, seed=1, offset=offset(ROWS))
    other = HYBRID.fit(ROWS, seed=2, offset=offset(ROWS))
    assert again.trees == FITTED.trees
    assert other.trees != FITTED.trees


def test_a_stored_model_forecasts_the_same_to_the_bit():
    again = load(FITTED.dump())
    for call in ("log_variance", "contributions"):
        now, then = (getattr(m, call)(ROWS.x, offset(ROWS)) for m in (FITTED, again))
        np.testing.assert_array_equal(now, then)


def test_trees_without_any_split_can_be_stored():
    stumps = replace(HYBRID, min_data_in_leaf=440)
    fitted = stumps.fit(ROWS, seed=1, offset=offset(ROWS))
    assert load(fitted.dump()).trees == fitted.trees


def test_a_hybrid_without_offset_is_refused():
    with pytest.raises(TypeError, match="offset"):
        HYBRID.fit(ROWS, seed=1)
    with pytest.raises(TypeError, match="offset"):
        FITTED.log_variance(ROWS.x)


def test_too_few_rows_are_refused():
    few = ROWS.rows(slice(0, 60))
    with pytest.raises(NotEnoughHistory):
        HYBRID.fit(few, seed=1, offset=offset(few))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_leaves=7", "num_leaves=70000000"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("decision_type=2", "decision_type=1"),
        ("split_feature=", "split_feature=99 "),
        ("left_child=1", "left_child=0"),
        ("leaf_value=", "leaf_value=nan "),
        ("objective=gamma", "objective=custom"),
        ("feature_names=tv1", "feature_names=xyz"),
        ("tree_sizes=", "tree_sizes=9"),
        ("Tree=1\n", "Tree=1\n\n"),
        ("\nend of trees", "\nloader_module=os\n\nend of trees"),
        ("end of trees\n", "end of trees\n\nparameters:\n"),
        ("tree\nversion=v4", "tree\nversion=v4\nversion=v4"),
    ],
)
def test_an_altered_text_never_reaches_the_native_reader(old, new):
    files = FITTED.dump()
    text = files["trees.txt"].decode()
    assert old in text
    with pytest.raises(ArtifactRefused):
        load({**files, "trees.txt": text.replace(old, new, 1).encode()})


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_text_is_refused_or_forecasts_but_never_ends_the_process(data):
    files = FITTED.dump()
    text = bytearray(files["trees.txt"])
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    text[at : at + length] = data.draw(st.sampled_from([b"", b"\n", b"=", b"7", b"-1 ", b"\xff"]))
    try:
        again = load({**files, "trees.txt": bytes(text)})
    except ArtifactRefused:
        return
    assert np.isfinite(again.contributions(ROWS.x[:5], offset(ROWS)[:5])).all()


def test_a_missing_file_is_refused():
    with pytest.raises(ArtifactRefused, match=r"trees\.txt"):
        load({"model.json": FITTED.dump()["model.json"]})
