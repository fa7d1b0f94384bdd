"""What is read from a model's file, one value at a time; and where scores become accuracies again."""

import numpy as np
import pytest
from pydantic import ValidationError

from fusion.regression.checked import number, one_of, whole
from fusion.regression.source import Source
from fusion.regression.target import learn_target, to_accuracies
from tests.tables.small import labelled


def test_whole_numbers_are_those_that_json_can_hold():
    assert whole(2**53 - 1, "n") == 2**53 - 1
    for value in (2**53, -1, 1.0, True, "1", None):
        with pytest.raises(ValueError, match="no whole number from 0 on"):
            whole(value, "n")
    with pytest.raises(ValueError, match="from 2 on"):
        whole(1, "n", 2)


def test_numbers_and_options():
    assert number(3, "x") == 3.0
    with pytest.raises(ValueError, match="x is no number"):
        number("3", "x")
    with pytest.raises(ValueError, match="x is none of a, b"):
        one_of("c", ["a", "b"], "x")


def test_a_source_has_no_other_fields(tmp_path):
    source = Source.of(labelled(tmp_path / "t").table, ["params"], networks=40)
    fields = source.model_dump()
    assert Source.model_validate(fields) == source
    with pytest.raises(ValidationError, match="Extra inputs"):
        Source.model_validate({**fields, "also": 1})
    with pytest.raises(ValidationError):
        Source.model_validate({**fields, "seed": "0"})


def test_beyond_the_levels_accuracies_go_on_as_in_the_outer_quarter():
    accuracies = np.array([10.0, 11.0, 13.0, 20.0, 30.0, 31.0, 35.0, 50.0])
    _, levels = learn_target("gaussian", accuracies)
    at, accuracy = levels
    low = (accuracy[2] - accuracy[0]) / (at[2] - at[0])
    high = (accuracy[7] - accuracy[5]) / (at[7] - at[5])
    found = to_accuracies(np.array([at[0] - 1, at[3], at[7] + 2]), levels)
    np.testing.assert_allclose(found, [10 - low, 20, 50 + 2 * high])
