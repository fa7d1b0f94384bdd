"""Extremely randomised trees: those of scikit-learn, and their text."""

import json

import numpy as np
import pytest
from scipy.stats import norm, rankdata
from sklearn.ensemble import ExtraTreesRegressor

from fusion.errors import FusionError
from fusion.regression import ExtraTrees
from fusion.regression.forest_text import from_text, to_text


def made(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    return X, 80 + X[:, 0] + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=n)


def walked(tree, row):
    """Return what a tree's lists predict for a row, node by node."""
    node = 0
    while tree["right"][node]:
        left = np.float32(row[tree["feature"][node]]) <= tree["value"][node]
        node = node + 1 if left else tree["right"][node]
    return tree["value"][node]


def test_it_is_the_forest_of_scikit_learn_on_the_scores_of_ranks():
    X, y = made()
    model = ExtraTrees(n_estimators=20, target="accuracy", min_samples_leaf=2).fit(X, y)
    features = norm.ppf((np.apply_along_axis(rankdata, 0, X) - 0.5) / 40)
    rows = np.argsort(y)
    forest = ExtraTreesRegressor(20, max_features=1 / 3, min_samples_leaf=2, random_state=0)
    forest.fit(features[np.ix_(rows, model.columns_)], y[rows])
    for own, theirs in zip(model.trees_, forest.estimators_, strict=True):
        np.testing.assert_array_equal(own.threshold, theirs.tree_.threshold)
        np.testing.assert_array_equal(own.value, theirs.tree_.value)
    np.testing.assert_allclose(model.predict(X), forest.predict(features[:, model.columns_]), rtol=1e-12)


def test_score_and_spread_are_those_of_the_saved_lists():
    X, y = made()
    model = ExtraTrees(n_estimators=7).fit(X, y)
    trees = json.loads(model.to_state().files["trees.json"])
    new = np.random.default_rng(1).normal(size=(9, 5))
    told = [[walked(tree, row[model.columns_]) for tree in trees] for row in new]
    np.testing.assert_allclose(model._scores(new), np.mean(told, axis=1), rtol=1e-12)
    np.testing.assert_allclose(model._spreads(new), np.std(told, axis=1), rtol=1e-9)


def test_a_setting_that_scikit_learn_refuses_is_one_line():
    X, y = made()
    for wrong in (
        {"n_estimators": 0},
        {"n_estimators": 2.5},
        {"min_samples_leaf": -1},
        {"max_features": 2.5},
        {"random_state": "x"},
    ):
        with pytest.raises(FusionError, match=next(iter(wrong))) as caught:
            ExtraTrees(**wrong).fit(X, y)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def text():
    X, y = made()
    forest = ExtraTreesRegressor(3, random_state=0).fit(X, y)
    return to_text([tree.tree_ for tree in forest.estimators_])


def test_a_text_is_the_same_again(text):
    assert to_text(from_text(text, 5)) == text
    X, _ = made()
    expected = [[walked(tree, row) for row in X] for tree in json.loads(text)]
    found = [tree.predict(X.astype(np.float32))[:, 0] for tree in from_text(text, 5)]
    assert np.array_equal(found, expected)


DAMAGE = {
    "a child that is before": lambda t: t["right"].__setitem__(0, -1),
    "a node that is its own child": lambda t: t["right"].__setitem__(3, 3),
    "a child outside": lambda t: t["right"].__setitem__(0, 10**6),
    "a child twice": lambda t: t["right"].__setitem__(0, 2),
    "a leaf that splits": lambda t: t["right"].__setitem__(-1, 1),
    "a root that is a leaf, with others": lambda t: t["right"].__setitem__(0, 0),
    "a column that there is not": lambda t: t["feature"].__setitem__(0, 5),
    "a column below": lambda t: t["feature"].__setitem__(0, -1),
    "a column that is no number": lambda t: t["feature"].__setitem__(0, True),
    "a child that is no whole number": lambda t: t["right"].__setitem__(0, 1.5),
    "a value that is no number": lambda t: t["value"].__setitem__(0, "x"),
    "a value without end": lambda t: t["value"].__setitem__(0, float("inf")),
    "a value that is none": lambda t: t["value"].__setitem__(0, float("nan")),
    "a value that is too large": lambda t: t["value"].__setitem__(0, 10**400),
    "a value too few": lambda t: t["value"].pop(),
    "no nodes": lambda t: t.update(right=[], feature=[], value=[]),
    "another list": lambda t: t.update(left=[]),
    "nested": lambda t: t["right"].__setitem__(0, [1]),
}


@pytest.mark.parametrize("what", list(DAMAGE))
def test_a_tree_that_is_none_is_refused(text, what):
    trees = json.loads(text)
    DAMAGE[what](trees[1])
    with pytest.raises(ValueError, match=r"tree 1\b"):
        from_text(json.dumps(trees), 5)


@pytest.mark.parametrize("other", ["{}", "[1]", "[{}]", "", "[" * 100_000, "null"])
def test_a_text_of_something_else_is_refused(other):
    with pytest.raises(ValueError, match=r"tree|Expecting"):
        from_text(other, 5)
