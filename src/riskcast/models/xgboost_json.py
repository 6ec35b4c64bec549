"""XGBoost's JSON format, checked before XGBoost reads it.

XGBoost's own reader trusts indices: a child or split that points outside its arrays is read from
memory that is not the model's. So nothing reaches it that is not a plain gamma forest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from riskcast.core.errors import ArtifactRefused
from riskcast.core.turns import take_turn
from riskcast.models.shap_tables import Splits

ROOT_PARENT = 2147483647
INTEGERS = ("left_children", "right_children", "parents", "split_indices", "split_type")
NUMBERS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
EMPTY = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
TREE_FIELDS = {*INTEGERS, *NUMBERS, *EMPTY, "default_left", "id", "tree_param"}
LEARNER = {
    *("attributes", "feature_names", "feature_types", "gradient_booster"),
    *("learner_model_param", "objective"),
}
MODEL = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"}
NO_CATEGORIES: dict[str, list[Any]] = {"enc": [], "feature_segments": [], "sorted_idx": []}


def check(text: str, columns: tuple[str, ...]) -> None:
    """Refuse anything but a gamma forest of numerical splits over exactly these columns.

    Raises
    ------
    ArtifactRefused
        Naming the first part that is not as XGBoost writes it.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"the trees are no JSON: {error}") from error
    if not isinstance(said, dict) or canonical(said) != text:
        # A repeated key, say, is one value to Python and another to XGBoost.
        raise ArtifactRefused("the trees are not written as Riskcast writes them")
    _keys(said, {"learner", "version"}, "trees")
    learner = _dict(said["learner"], "learner")
    _keys(learner, LEARNER, "learner")
    booster = _dict(learner.get("gradient_booster"), "gradient_booster")
    _keys(booster, {"model", "name"}, "gradient_booster")
    model = _dict(booster["model"], "model")
    _keys(model, MODEL, "model")
    version = said["version"]
    if not isinstance(version, list) or len(version) != 3:
        raise ArtifactRefused(f"version is {version!r:.40}")
    _check_list(version, 3, int, "version")
    trees = model["trees"]
    if not isinstance(trees, list) or not trees:
        raise ArtifactRefused("the model has no trees")
    _check_header(learner, booster, columns)
    n = len(trees)
    _equal(model.get("gbtree_model_param"), {"num_parallel_tree": "1", "num_trees": str(n)}, "size")
    _equal(model.get("iteration_indptr"), [*range(n + 1)], "iteration_indptr")
    _equal(model.get("tree_info"), [0] * n, "tree_info")
    _equal(model.get("cats"), NO_CATEGORIES, "cats")
    for number, tree in enumerate(trees):
        _check_tree(_dict(tree, f"tree {number}"), number, len(columns))
        take_turn()


def canonical(said: dict[str, Any]) -> str:
    """Return XGBoost's JSON the one way it is stored."""
    return json.dumps(said, separators=(",", ":"))


def splits(text: str) -> tuple[Splits, ...]:
    """Return the splits of every tree of a text that `check` accepted.

    XGBoost goes left below a split's condition; the largest number below it is the threshold.
    """
    found = []
    for tree in json.loads(text)["learner"]["gradient_booster"]["model"]["trees"]:
        inner = [node for node, child in enumerate(tree["left_children"]) if child >= 0]
        conditions = np.array(tree["split_conditions"], dtype=np.float32)[inner]
        below = np.nextafter(conditions, np.float32(-np.inf))
        found.append(Splits(tuple(tree["split_indices"][i] for i in inner), tuple(below.tolist())))
        take_turn()
    return tuple(found)


def over(text: str, trees: Sequence[Sequence[int]], columns: int) -> str:
    """Return a text that `check` accepted, its forest over so many nameless columns.

    Of each tree: which column each of its splits looks at, in the order of `splits`.
    """
    said = json.loads(text)
    learner = said["learner"]
    learner["feature_names"] = []
    learner["learner_model_param"]["num_feature"] = str(columns)
    grown = learner["gradient_booster"]["model"]["trees"]
    for tree, looked_at in zip(grown, trees, strict=True):
        tree["tree_param"]["num_feature"] = str(columns)
        inner = (node for node, child in enumerate(tree["left_children"]) if child >= 0)
        for node, column in zip(inner, looked_at, strict=True):
            tree["split_indices"][node] = column
    return canonical(said)


def _keys(said: dict[str, Any], wanted: set[str], where: str) -> None:
    if unknown := sorted(set(said) ^ wanted):
        raise ArtifactRefused(f"{where}: {unknown} unknown or missing")


def _check_header(
    learner: dict[str, Any], booster: dict[str, Any], columns: tuple[str, ...]
) -> None:
    _equal(booster.get("name"), "gbtree", "booster")
    _equal(learner.get("feature_names"), list(columns), "feature_names")
    _equal(learner.get("feature_types"), [], "feature_types")
    _equal(learner.get("attributes"), {}, "attributes")
    objective = {"name": "reg:gamma", "reg_loss_param": {"scale_pos_weight": "1"}}
    _equal(learner.get("objective"), objective, "objective")
    # ln 1 = 0: all of the starting point is the offset.
    shape = {
        "base_score": "[1E0]",
        "boost_from_average": "0",
        "num_class": "0",
        "num_feature": str(len(columns)),
        "num_target": "1",
    }
    _equal(learner.get("learner_model_param"), shape, "learner_model_param")


def _check_tree(tree: dict[str, Any], number: int, columns: int) -> None:
    where = f"tree {number}"
    _keys(tree, TREE_FIELDS, where)
    left = tree["left_children"]
    nodes = len(left) if isinstance(left, list) else 0
    _equal(tree["id"], number, f"{where}: id")
    size = {"num_deleted": "0", "num_feature": str(columns), "num_nodes": str(nodes)}
    _equal(tree["tree_param"], {**size, "size_leaf_vector": "1"}, f"{where}: tree_param")
    for name in (*INTEGERS, "default_left"):
        _check_list(tree[name], nodes, int, f"{where}: {name}")
    for name in NUMBERS:
        _check_list(tree[name], nodes, float, f"{where}: {name}")
    if any(tree[name] for name in EMPTY) or any(tree["split_type"]):
        raise ArtifactRefused(f"{where} has categorical splits")
    if not {0, 1}.issuperset(tree["default_left"]):
        raise ArtifactRefused(f"{where}: default_left is neither 0 nor 1")
    _check_shape(tree, nodes, columns, where)


def _check_shape(tree: dict[str, Any], nodes: int, columns: int, where: str) -> None:
    """Every node but the root is the child of the one earlier node that it names as parent."""
    if not nodes or tree["parents"][0] != ROOT_PARENT:
        raise ArtifactRefused(f"{where} has no root")
    children = []
    for node, pair in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        if pair == (-1, -1):
            continue
        children += [(node, child) for child in pair]
    right_parents = all(0 <= p < c < nodes and tree["parents"][c] == p for p, c in children)
    if sorted(c for _, c in children) != [*range(1, nodes)] or not right_parents:
        raise ArtifactRefused(f"{where}: its nodes do not form a tree")
    if not all(0 <= index < columns for index in tree["split_indices"]):
        raise ArtifactRefused(f"{where}: a split is on a column that is not there")


def _check_list(value: Any, length: int, kind: type, where: str) -> None:
    if not isinstance(value, list) or len(value) != length:
        raise ArtifactRefused(f"{where} has not {length} values")
    # The very type: True is an int to Python, and XGBoost refuses an integer among numbers.
    if not all(type(v) is kind for v in value):
        raise ArtifactRefused(f"{where} holds something that is no {kind.__name__}")
    if not all(math.isfinite(v) and abs(v) < 3e38 for v in value):  # float32
        raise ArtifactRefused(f"{where} is not finite")


def _dict(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactRefused(f"{where} is {value!r:.60}, not an object")
    return value


def _equal(value: Any, wanted: Any, where: str) -> None:
    # Compared with their types: True equals 1 in Python and not in JSON.
    if json.dumps(value, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        raise ArtifactRefused(f"{where} is {value!r:.80}, not {wanted!r:.80}")
