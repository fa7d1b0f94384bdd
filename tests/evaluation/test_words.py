"""Results in words: orders, the protocol's rows, and what is chosen to be said."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fusion.evaluation import METRICS, Judging, evaluate
from fusion.evaluation.metrics import K
from fusion.evaluation.protocol_table import protocol_rows
from fusion.evaluation.results import Extent, Interval, Method
from fusion.evaluation.transfer import _best_indicator
from fusion.evaluation.words import best_model, by_strength, decimals, number, signed
from fusion.regression import Group
from tests.evaluation.made import labelled


def method(srocc, kind="indicator"):
    return Method(kind, 1.0, {"srocc": Interval(srocc)})


def test_methods_are_ordered_by_strength_whatever_their_sign():
    methods = {"none": method(None), "zero": method(0.0), "half": method(0.5), "down": method(-0.7)}
    assert by_strength(methods) == ["down", "half", "zero", "none"]


def test_the_best_model_is_one_that_has_a_value():
    models = {"a": method(None, "model"), "b": method(-0.2, "model"), "c": method(0.9)}
    assert best_model(SimpleNamespace(methods=models)) == "b"
    assert best_model(SimpleNamespace(methods={"c": method(0.9)})) is None


def test_numbers_have_true_signs():
    assert [decimals(value) for value in (3.41, 0.456, 12.0, 0, None)] == [2, 3, 1, 3, 3]
    assert (number(-0.5), number(None), signed(0.25)) == ("\N{MINUS SIGN}0.500", "\N{EN DASH}", "+0.250")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    data = labelled(tmp_path_factory.mktemp("table") / "t", 60)
    return evaluate(data, ["weighted_sum"], settings=Judging(splits=2, bootstrap=5), progress=False)


def test_the_protocol_says_what_was_reached_only_where_it_is_another(result):
    assert result.methods["weighted_sum"].defined == 1.0
    assert protocol_rows(result)["Trained on"] == "40 architectures"
    assert protocol_rows(result)["Images"] == "digits, a batch of 8"
    protocol = replace(result.protocol, train_size_reached=Extent(38, 40))
    assert protocol_rows(replace(result, protocol=protocol))["Trained on"] == (
        "40 architectures (reached: 38 to 40)"
    )


def test_few_tested_architectures_are_warned_of_and_many_are_not(tmp_path, result):
    assert any(f"take {K} of only 20" in text for text in result.warnings)
    many = labelled(tmp_path / "t", 150)
    found = evaluate(many, ["weighted_sum"], settings=Judging(splits=2, bootstrap=5), progress=False)
    assert not any("of only" in text for text in found.warnings)


def test_ten_are_the_top():
    measured = np.arange(20.0)
    predicted = measured.copy()
    predicted[10] = -1.0  # the tenth best is put last
    assert METRICS["precision_at_10"].function(measured, predicted) == pytest.approx(0.9)
    tenth = np.append(measured[:-1], 9.5)  # the best is predicted to be the tenth
    assert METRICS["regret_at_10"].function(measured, tenth) == pytest.approx(0.0)


def test_an_indicator_that_says_nothing_somewhere_counts_least_there():
    """A mean over groups must not gain by being undefined in one of them."""
    keys = [f"net{i}" for i in range(30)]
    rng = np.random.default_rng(0)
    accuracy = pd.Series(np.arange(30.0), keys)
    fair = accuracy + rng.normal(0, 25, 30)
    groups = [
        Group("one", pd.DataFrame({"half": accuracy, "fair": fair}), accuracy, None),
        Group("two", pd.DataFrame({"half": 1.0, "fair": fair}, keys), accuracy, None),
    ]
    assert 0.1 < METRICS["srocc"].function(accuracy.to_numpy(), fair.to_numpy()) < 0.5
    assert _best_indicator(groups, ["half", "fair"]) == "fair"
    assert _best_indicator(groups[:1], ["half", "fair"]) == "half"


def test_defaults_of_judging():
    assert Judging() == Judging(None, None, 10, 200, 0)
