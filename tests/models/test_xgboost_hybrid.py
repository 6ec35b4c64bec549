import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_design import COLUMNS, design, offset

from riskcast.core.errors import ArtifactRefused, NotEnoughHistory
from riskcast.models.xgboost_hybrid import XgboostHybrid, load

HYBRID = XgboostHybrid(
    COLUMNS,
    rounds=12,
    learning_rate=0.1,
    max_depth=3,
    min_child_weight=40.0,
    subsample=0.6,
    colsample=0.7,
)
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
    assert np.abs(gap).max() < 1e-6


def test_the_offset_moves_forecast_and_base_one_to_one():
    start = offset(ROWS)
    moved = FITTED.contributions(ROWS.x, start + 1) - FITTED.contributions(ROWS.x, start)
    np.testing.assert_allclose(moved[:, -1], 1.0)
    assert (moved[:, :-1] == 0).all()


def test_the_same_seed_gives_the_same_trees():
    assert HYBRID.fit(ROWS, seed=1, offset=offset(ROWS)).trees == FITTED.trees
    assert HYBRID.fit(ROWS, seed=2, offset=offset(ROWS)).trees != FITTED.trees


def test_a_stored_model_forecasts_the_same_to_the_bit():
    again = load(FITTED.dump())
    for call in ("log_variance", "contributions"):
        now, then = (getattr(m, call)(ROWS.x, offset(ROWS)) for m in (FITTED, again))
        np.testing.assert_array_equal(now, then)
    assert again.dump() == FITTED.dump()


def test_trees_without_any_split_can_be_stored():
    fitted = replace(HYBRID, min_child_weight=440.0).fit(ROWS, seed=1, offset=offset(ROWS))
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


def tree(said):
    return said["learner"]["gradient_booster"]["model"]["trees"][0]


@pytest.mark.parametrize(
    "edit",
    [
        lambda said: tree(said)["left_children"].__setitem__(0, 99),
        lambda said: tree(said)["left_children"].__setitem__(0, 0),
        lambda said: tree(said)["split_indices"].__setitem__(0, 5),
        lambda said: tree(said)["split_indices"].__setitem__(0, -1),
        lambda said: tree(said)["split_type"].__setitem__(0, 1),
        lambda said: tree(said)["parents"].__setitem__(1, 7),
        lambda said: tree(said)["split_conditions"].append(0.0),
        lambda said: tree(said)["split_conditions"].__setitem__(0, 1e39),
        lambda said: tree(said)["split_conditions"].__setitem__(0, "x"),
        lambda said: tree(said)["default_left"].__setitem__(0, 2),
        lambda said: tree(said)["categories"].append(1),
        lambda said: tree(said)["tree_param"].update(num_nodes="3"),
        lambda said: tree(said).pop("id"),
        lambda said: said["learner"]["objective"].update(name="reg:squarederror"),
        lambda said: said["learner"]["learner_model_param"].update(base_score="[2E0]"),
        lambda said: said["learner"]["learner_model_param"].update(num_feature="4"),
        lambda said: said["learner"].update(feature_names=["a"] * 5),
        lambda said: said["learner"]["gradient_booster"].update(name="dart"),
        lambda said: said["learner"]["gradient_booster"]["model"].update(trees=[]),
        lambda said: said["learner"]["gradient_booster"]["model"].update(tree_info=[1] * 12),
        lambda said: said["learner"].update(attributes={"x": "y"}),
        lambda said: said.update(version=["3"]),
        lambda said: said.update(extra=1),
    ],
)
def test_altered_trees_never_reach_the_native_reader(edit):
    files = FITTED.dump()
    said = json.loads(files["trees.json"])
    edit(said)
    text = json.dumps(said, separators=(",", ":")).encode()
    with pytest.raises(ArtifactRefused):
        load({**files, "trees.json": text})


def test_a_repeated_key_is_refused():
    files = FITTED.dump()
    text = files["trees.json"].replace(b'"id":0,', b'"id":0,"id":0,', 1)
    with pytest.raises(ArtifactRefused, match="written"):
        load({**files, "trees.json": text})


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_text_is_refused_or_forecasts_but_never_ends_the_process(data):
    files = FITTED.dump()
    text = bytearray(files["trees.json"])
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    text[at : at + length] = data.draw(st.sampled_from([b"", b",", b"]", b"7", b"-1,", b"\xff"]))
    try:
        again = load({**files, "trees.json": bytes(text)})
        effects = again.contributions(ROWS.x[:5], offset(ROWS)[:5])  # checks its tables first
    except ArtifactRefused:
        return
    assert np.isfinite(effects).all()


@pytest.mark.parametrize("name", ["model.json", "trees.json"])
def test_a_missing_file_is_refused(name):
    files = {k: v for k, v in FITTED.dump().items() if k != name}
    with pytest.raises(ArtifactRefused, match=name.replace(".", r"\.")):
        load(files)
