"""Some networks of a space, as a space."""

import numpy as np
import pytest

from fusion.errors import InvalidArchitecture
from fusion.extraction.check import check_space
from fusion.spaces import make_space
from fusion.spaces.subset import Subset

SSS = make_space("nats-sss", {"divisor": 8})
KEYS = ["8:8:8:8:8", "8:8:8:8:16", "8:8:8:8:64", "64:64:64:64:64"]
SUBSET = Subset(SSS, [*KEYS, KEYS[0]])


def test_it_lists_its_keys_and_no_others():
    assert list(SUBSET.enumerate()) == KEYS
    assert len(SUBSET) == 4
    assert sorted(SUBSET.sample(4, 0)) == sorted(KEYS)
    assert SUBSET.canonical(KEYS[1]) == KEYS[1]
    with pytest.raises(InvalidArchitecture, match="not among the 4 networks"):
        SUBSET.canonical("16:8:8:8:8")
    with pytest.raises(InvalidArchitecture, match="expected"):
        SUBSET.canonical("9:8:8:8:8")


def test_neighbours_are_those_of_the_space_that_are_there_else_all_others():
    near = set(SSS.neighbours(KEYS[0]))
    assert set(SUBSET.neighbours(KEYS[0])) == near & set(KEYS)
    assert SUBSET.neighbours(KEYS[0])
    assert not set(SSS.neighbours(KEYS[3])) & set(KEYS)
    assert SUBSET.neighbours(KEYS[3]) == KEYS[:3]
    assert SUBSET.mutate(KEYS[3], np.random.default_rng(0)) in KEYS[:3]


def test_of_a_space_too_large_to_list():
    space = make_space("nas-bench-101", {"channels": 5, "cells": 1})
    keys = space.sample(6, 0)
    subset = Subset(space, keys)
    assert subset.settings == space.settings
    assert subset.graphs(keys[0]) == space.graphs(keys[0])
    # it is made from another space, not from settings
    assert {finding.property for finding in check_space(subset, sample=3)} == {"settings"}
