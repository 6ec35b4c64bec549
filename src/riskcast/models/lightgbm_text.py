"""LightGBM's text format, checked before LightGBM reads it.

LightGBM's own reader trusts its input: on a truncated or altered text it reads past the end of
the buffer and aborts the process. So nothing reaches it that is not a plain regression forest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from riskcast.core.errors import ArtifactRefused
from riskcast.core.turns import take_turn
from riskcast.models.shap_tables import Splits

END = "end of trees\n"
HEADER = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "label_index": "0"}
INDICES = ("split_feature", "left_child", "right_child")
NODE_FIELDS = (
    *INDICES,
    *("split_gain", "threshold", "decision_type"),
    *("internal_value", "internal_weight", "internal_count"),
)
LEAF_FIELDS = ("leaf_value", "leaf_weight", "leaf_count")
DECISIONS = {0, 2, 4, 6, 8, 10}  # numerical splits; odd ones are categorical
INTEGER = re.compile(r"-?\d{1,9}")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
THRESHOLD = re.compile(rf"inf|{NUMBER.pattern}")  # inf: known values to one side, NaN to the other
RANGE = re.compile(rf"none|\[{NUMBER.pattern}:{NUMBER.pattern}\]")
ZERO_IS_MISSING = 4  # bit of a decision type
ZERO = 1.0000000180025095e-35  # float32's 1e-35; LightGBM reads what is no larger as 0
TREE_FIELDS = {*NODE_FIELDS, *LEAF_FIELDS, "num_leaves", "num_cat", "is_linear", "shrinkage"}


def trim(text: str) -> str:
    """Return the text up to the last tree: importances and parameters are no part of a model."""
    head, found, _ = text.partition(END)
    return head + found


def check(text: str, columns: tuple[str, ...]) -> None:
    """Refuse anything but trimmed trees over exactly these columns.

    Raises
    ------
    ArtifactRefused
        Naming the first tree and field that is not as LightGBM writes it.
    """
    if not text.startswith("tree\n") or text.find(END) != len(text) - len(END):
        raise ArtifactRefused("the trees do not start with 'tree' and end with 'end of trees'")
    if not text.isascii():
        raise ArtifactRefused("the trees hold a character that LightGBM does not write")
    head, found, rest = text[: -len(END)].partition("\n\nTree=0\n")
    header = _fields(head, "header")
    _check_header(header, columns)
    body = "Tree=0\n" * bool(found) + rest
    sizes = _integers(header, "tree_sizes", "header")
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    if min(sizes) <= 0 or ends[-1] != len(body):
        raise ArtifactRefused("header: 'tree_sizes' do not add up to the length of the trees")
    for number, (start, end) in enumerate(pairwise(ends)):
        _check_tree(body[start:end], number, len(columns))
        take_turn()


def splits(text: str) -> tuple[Splits, ...]:
    """Return the splits of every tree of a text that `check` accepted.

    None at all where zeros count as missing: such splits are no comparisons.
    """
    found = []
    for block in text.removesuffix(END).split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        features, thresholds, decisions = (
            fields[name].split() for name in ("split_feature", "threshold", "decision_type")
        )
        if any(int(decision) & ZERO_IS_MISSING for decision in decisions):
            return ()
        cuts = tuple(_effective(float(threshold)) for threshold in thresholds)
        found.append(Splits(tuple(map(int, features)), cuts))
        take_turn()
    return tuple(found)


def over(text: str, trees: Sequence[Sequence[int]], columns: int) -> str:
    """Return a text that `check` accepted, its forest over so many other columns.

    Of each tree: which column each of its splits looks at, in the order of `splits`.
    """
    head, _, rest = text.partition("\nTree=")
    wanted = {
        "max_feature_idx": str(columns - 1),
        "feature_names": " ".join(f"c{i}" for i in range(columns)),
        "feature_infos": " ".join(["none"] * columns),
    }
    lines = (line.partition("=") for line in head.split("\n"))
    # Without their sizes, which change, the trees are read one after the other.
    kept = [f"{name}{sign}{wanted.get(name, value)}" for name, sign, value in lines]
    head = "\n".join(line for line in kept if not line.startswith("tree_sizes="))
    blocks = rest.split("\nTree=")
    for i, looked_at in enumerate(trees):
        named = "split_feature=" + " ".join(map(str, looked_at))
        blocks[i] = re.sub("^split_feature=.*$", named, blocks[i], flags=re.MULTILINE)
    return "\nTree=".join([head, *blocks])


def _effective(threshold: float) -> float:
    """Return the threshold that unrounded values compare with as LightGBM's rounded ones do."""
    if abs(threshold) > ZERO:
        return threshold
    return ZERO if threshold >= 0 else math.nextafter(-ZERO, -math.inf)


def _fields(block: str, where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in block.rstrip("\n").split("\n"):
        name, _, value = line.partition("=")
        if name in fields or not name:
            raise ArtifactRefused(f"{where}: {name!r} is said twice, or a line is blank")
        fields[name] = value
    return fields


def _check_header(header: dict[str, str], columns: tuple[str, ...]) -> None:
    wanted = {**HEADER, "max_feature_idx": str(len(columns) - 1), "objective": "gamma"}
    wanted["feature_names"] = " ".join(columns)
    for name, value in wanted.items():
        if header.get(name) != value:
            raise ArtifactRefused(f"header: {name!r} is {header.get(name)!r:.80}, not {value!r}")
    if unknown := sorted(set(header) ^ {*wanted, "tree", "feature_infos", "tree_sizes"}):
        raise ArtifactRefused(f"header: {unknown} unknown or missing")
    ranges = header["feature_infos"].split(" ")
    if len(ranges) != len(columns) or not all(RANGE.fullmatch(item) for item in ranges):
        raise ArtifactRefused(f"header: 'feature_infos' is not about {len(columns)} columns")


def _check_tree(block: str, number: int, columns: int) -> None:
    where = f"tree {number}"
    first = f"Tree={number}\n"
    if not block.startswith(first) or not block.endswith("\n\n"):
        raise ArtifactRefused(f"{where} does not start with its number or end with a blank line")
    fields = _fields(block.removeprefix(first), where)
    if unknown := sorted(set(fields) ^ TREE_FIELDS):
        raise ArtifactRefused(f"{where}: {unknown} unknown or missing")
    leaves = _integers(fields, "num_leaves", where)
    if leaves == [1]:  # no split was worth it; written with empty fields
        _numbers(fields, "leaf_value", where)
        if any(fields[name] for name in (*NODE_FIELDS, "leaf_weight")):
            raise ArtifactRefused(f"{where} has one leaf and yet a split")
        return
    for name in NODE_FIELDS + LEAF_FIELDS:
        length = leaves[0] - (name in NODE_FIELDS)
        found = (
            _items(fields, name, where, THRESHOLD)
            if name == "threshold"
            else _numbers(fields, name, where)
        )
        if len(found) != length:
            raise ArtifactRefused(f"{where}: {name!r} has not {length} values")
    if fields["num_cat"] != "0" or fields["is_linear"] != "0":
        raise ArtifactRefused(f"{where} has categorical splits or linear leaves")
    if not DECISIONS.issuperset(_integers(fields, "decision_type", where)):
        raise ArtifactRefused(f"{where}: a split is not numerical")
    _numbers(fields, "shrinkage", where)
    _check_shape(fields, leaves[0], columns, where)


def _check_shape(fields: dict[str, str], leaves: int, columns: int, where: str) -> None:
    features, left, right = (_integers(fields, name, where) for name in INDICES)
    if not 0 <= min(features) <= max(features) < columns:
        raise ArtifactRefused(f"{where}: a split is on a column that is not there")
    # Every node but the root and every leaf (written ~leaf) is the child of one earlier node.
    once = sorted(left + right) == [*range(-leaves, 0), *range(1, leaves - 1)]
    pairs = [(node, child) for side in (left, right) for node, child in enumerate(side)]
    if not once or any(0 <= child <= node for node, child in pairs):
        raise ArtifactRefused(f"{where}: its nodes do not form a tree")


def _items(fields: dict[str, str], name: str, where: str, pattern: re.Pattern[str]) -> list[str]:
    items = fields.get(name, "").split(" ")
    if not all(pattern.fullmatch(item) for item in items):
        raise ArtifactRefused(f"{where}: {name!r} is missing or holds something else")
    return items


def _integers(fields: dict[str, str], name: str, where: str) -> list[int]:
    return [int(item) for item in _items(fields, name, where, INTEGER)]


def _numbers(fields: dict[str, str], name: str, where: str) -> list[float]:
    values = [float(item) for item in _items(fields, name, where, NUMBER)]
    if not all(abs(value) < float("inf") for value in values):
        raise ArtifactRefused(f"{where}: {name!r} is not finite")
    return values
