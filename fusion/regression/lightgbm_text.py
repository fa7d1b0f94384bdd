"""Check of LightGBM's own text: its parser takes what it reads, sizes and places in arrays, for true."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from fusion.regression.checked import one_of

_HEADER = {
    "version": r"v[34]",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "label_index": "0",
}
# lists in a tree of n leaves: by name, what they hold, and how many
_PER_NODE = {"split_feature": int, "split_gain": float, "threshold": float, "decision_type": int,
             "left_child": int, "right_child": int,
             "internal_value": float, "internal_weight": float, "internal_count": int}  # fmt: skip
_PER_LEAF = {"leaf_value": float, "leaf_weight": float, "leaf_count": int}
_LINEAR = {"leaf_const": float, "num_features": int}
# a split that is numerical; the further bits say where missing values go
_DECISIONS = range(0, 16, 2)
_TAIL = re.compile(
    r"end of trees\n\n"
    r"feature_importances:\n(?:\w+=\d+\n)*"
    r"(?:\nparameters:\n(?P<parameters>(?:\[\w+: [^\]\n]*\]\n)*)\nend of parameters\n)?"
    r"\npandas_categorical:null\n*"
)
_PARAMETER = re.compile(r"\[(\w+): ([\w.,+\-]*)\]")
# settings that name files or hosts; nothing reads them when predicting, and nothing should ever
_NAMES_FILES = re.compile(r"data|valid|machines|\w+_(?:file|filename|model|result)")


def members(text: str, features: int, objective: str) -> list[str]:
    """Return the texts of the boosters that stand one after another in `text`, each checked.

    Parameters
    ----------
    text : str
        As `Booster.model_to_string` gives them.
    features : int
        Columns that they read.
    objective : str
        To which they were grown.

    Raises
    ------
    ValueError
        When it is not such a text: another number of columns, a tree that is none, a file's name.
    """
    if not text.isascii() or "\r" in text or "\0" in text:
        raise ValueError("the trees' text has a character that LightGBM does not write")
    before, *texts = re.split(r"^(?=tree$)", text, flags=re.MULTILINE)
    if before or not texts:
        raise ValueError("no trees")
    for member in texts:
        _check(member, features, objective)
    return texts


def _check(text: str, features: int, objective: str) -> None:
    head, found, rest = text.partition("\n\n")
    if not found:
        raise ValueError("the trees' text ends early")
    header = _pairs(head.removeprefix("tree\n"))
    for name, pattern in (_HEADER | {"objective": objective}).items():
        if not re.fullmatch(pattern, header.pop(name, "")):
            raise ValueError(f"the trees' {name} is not what Fusion writes")
    if header.pop("max_feature_idx", "") != str(features - 1):
        raise ValueError(f"the trees do not read {features} columns")
    for name in ("feature_names", "feature_infos"):
        if len(header.pop(name, "").split()) != features:
            raise ValueError(f"the trees' {name} are not of {features} columns")
    sizes = [int(size) for size in _numbers(header.pop("tree_sizes", ""), int, "tree_sizes")]
    if header:
        raise ValueError(f"the trees' header says {sorted(header)[0][:50]}")
    at = 0
    for i, size in enumerate(sizes):
        tree = rest[at : at + max(size, 0)]
        start = f"Tree={i}\n"
        if len(tree) != size or not tree.startswith(start) or not tree.endswith("\n\n"):
            raise ValueError(f"tree {i} is not of the size that the text says")
        _check_tree(_pairs(tree.removeprefix(start).strip("\n")), features, f"tree {i}")
        at += size
    tail = _TAIL.fullmatch(rest[at:].removeprefix("\n"))
    if tail is None:
        raise ValueError("what stands after the trees is not what LightGBM writes")
    for line in (tail["parameters"] or "").splitlines():
        setting = _PARAMETER.fullmatch(line)
        if setting is None or (setting[2] and _NAMES_FILES.fullmatch(setting[1])):
            raise ValueError(f"the trees' setting {line[:50]!r} is not one that Fusion writes")


def _check_tree(tree: dict[str, str], features: int, where: str) -> None:
    leaves = int(_numbers(tree.pop("num_leaves", ""), int, f"{where}: num_leaves", 1)[0])
    # checked against the text's length before anything of that size is made
    if not 1 <= leaves <= len(tree.get("leaf_value", "")) + 1:
        raise ValueError(f"{where}: num_leaves is {leaves}")
    one_of(tree.pop("num_cat", ""), ["0"], f"{where}: num_cat")
    linear = one_of(tree.pop("is_linear", "0"), ["0", "1"], f"{where}: is_linear") == "1"
    shape = {name: (kind, leaves - 1) for name, kind in _PER_NODE.items()}
    shape |= {name: (kind, leaves) for name, kind in (_PER_LEAF | (_LINEAR if linear else {})).items()}
    shape["shrinkage"] = (float, 1)
    optional = () if leaves > 1 else ("leaf_weight", "leaf_count", *_PER_NODE, *_LINEAR)
    lists: dict[str, Sequence[float]] = {}
    for name, (kind, size) in shape.items():
        written = tree.pop(name, None)
        if written is None or (name in optional and not written):
            if name not in optional:
                raise ValueError(f"{where}: {name} is missing")
            continue
        lists[name] = _numbers(written, kind, f"{where}: {name}", size)
    _check_nodes(lists, leaves, features, where)
    if linear:
        used = [int(count) for count in lists.get("num_features", ())]
        if any(count < 0 for count in used):
            raise ValueError(f"{where}: num_features is negative")
        columns = _numbers(tree.pop("leaf_features", ""), int, f"{where}: leaf_features", sum(used))
        _numbers(tree.pop("leaf_coeff", ""), float, f"{where}: leaf_coeff", sum(used))
        if any(not 0 <= column < features for column in columns):
            raise ValueError(f"{where}: leaf_features name a column that there is not")
    if tree:
        raise ValueError(f"{where}: {sorted(tree)[0][:50]} is not what Fusion writes")


def _check_nodes(lists: dict[str, Sequence[float]], leaves: int, features: int, where: str) -> None:
    """Check that the nodes are a tree: each but the root, and each leaf, is a child exactly once."""
    if leaves == 1:
        return
    if any(not 0 <= column < features for column in lists["split_feature"]):
        raise ValueError(f"{where}: split_feature names a column that there is not")
    if any(decision not in _DECISIONS for decision in lists["decision_type"]):
        raise ValueError(f"{where}: decision_type is not that of a numerical split")
    children = sorted([*lists["left_child"], *lists["right_child"]])
    if children != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ValueError(f"{where}: its nodes are no tree")


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if not equals or name in found:
            raise ValueError(f"the trees' text has the line {line[:50]!r}")
        found[name] = value
    return found


def _numbers(text: str, kind: type[float], what: str, size: int | None = None) -> list[float]:
    try:
        numbers = [kind(part) for part in text.split()]
    except ValueError:
        raise ValueError(f"{what} holds something that is no number") from None
    if size is not None and len(numbers) != size:
        raise ValueError(f"{what} has {len(numbers)} numbers, not {size}")
    if not all(map(math.isfinite, numbers)) or (kind is int and any(abs(x) >= 2**31 for x in numbers)):
        raise ValueError(f"{what} holds a number that is too large")
    return numbers
