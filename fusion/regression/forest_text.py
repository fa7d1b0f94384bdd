"""A forest of regression trees as JSON text, and back: checked, so that no walk loops or reads outside."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.tree._tree import NODE_DTYPE, Tree

from fusion.regression.checked import Array

# sklearn's mark of a leaf
_LEAF = -1
_NO_FEATURE = -2


def to_text(trees: list[Any]) -> str:
    """Return scikit-learn's trees as JSON, a line per tree, of what predicting reads.

    Per tree three lists with an entry per node, parents before children and the left child right behind
    its parent: `right`, the place of the right child, 0 for a leaf; `feature`, the column that is compared,
    0 for a leaf; `value`, the threshold, up to which a row goes left, or the leaf's prediction.
    """
    lines = []
    for tree in trees:
        leaf = tree.children_left == _LEAF
        content = {
            "right": np.where(leaf, 0, tree.children_right).tolist(),
            "feature": np.where(leaf, 0, tree.feature).tolist(),
            "value": np.where(leaf, tree.value[:, 0, 0], tree.threshold).tolist(),
        }
        lines.append(json.dumps(content, allow_nan=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def from_text(text: str, features: int) -> list[Any]:
    """Return the trees that gave `text`.

    Parameters
    ----------
    text : str
    features : int
        Columns that they read.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it is no such text.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("the trees' text is nested too deeply") from None
    if not isinstance(content, list):
        raise ValueError("the trees' text is no list")
    return [_tree(one, features, f"tree {i}") for i, one in enumerate(content)]


def _tree(content: Any, features: int, where: str) -> Any:
    if not isinstance(content, dict) or sorted(content) != ["feature", "right", "value"]:
        raise ValueError(f"{where} has not the lists feature, right and value")
    right = _numbers(content["right"], {int}, f"{where}: right").astype(np.int64)
    feature = _numbers(content["feature"], {int}, f"{where}: feature").astype(np.int64)
    value = _numbers(content["value"], {int, float}, f"{where}: value")
    if not len(right) == len(feature) == len(value) > 0:
        raise ValueError(f"{where} has lists of different lengths")
    if not ((feature >= 0) & (feature < features)).all():
        raise ValueError(f"{where} compares a column that there is not")
    split = right != 0
    at = np.arange(len(right))
    # each node but the root is the child of exactly one before it
    if (right[split] <= at[split] + 1).any() or (
        sorted([*(at[split] + 1).tolist(), *right[split].tolist()]) != at[1:].tolist()
    ):
        raise ValueError(f"{where}: its nodes are no tree")
    nodes = np.zeros(len(right), dtype=NODE_DTYPE)
    nodes["left_child"] = np.where(split, at + 1, _LEAF)
    nodes["right_child"] = np.where(split, right, _LEAF)
    nodes["feature"] = np.where(split, feature, _NO_FEATURE)
    nodes["threshold"] = np.where(split, value, _NO_FEATURE)
    tree = Tree(features, np.array([1], dtype=np.intp), 1)
    tree.__setstate__(
        {
            "max_depth": len(right),
            "node_count": len(right),
            "nodes": nodes,
            "values": value.reshape(-1, 1, 1),
        }
    )
    return tree


def _numbers(value: Any, kinds: set[type], what: str) -> Array:
    """Return an array; raises ValueError unless it is a list of finite numbers of these types."""
    if not isinstance(value, list) or not set(map(type, value)) <= kinds:
        raise ValueError(f"{what} is no list of numbers")
    try:
        numbers = np.array(value, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{what} holds a number that is too large") from None
    if not (np.abs(numbers) < 2.0**53).all():
        raise ValueError(f"{what} holds a number that is too large")
    return numbers
