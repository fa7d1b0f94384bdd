"""Architectures that a command or a pipeline names."""

import pytest

from fusion.errors import FusionError
from fusion.spaces import make_space
from fusion.tables.choosing import Architectures, choose_architectures

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})


def test_architectures_are_chosen_in_each_way(tmp_path):
    every = choose_architectures(SPACE, Architectures())
    assert len(every) == 15625
    live = choose_architectures(SPACE, Architectures(without_dead_edges=True))
    assert len(live) == 9445
    some = choose_architectures(SPACE, Architectures(sample=50, seed=3))
    assert some == choose_architectures(SPACE, Architectures(sample=80, seed=3))[:50]
    keys = choose_architectures(SPACE, Architectures(sample=50, distinct=True))
    assert keys == [SPACE.canonical(key) for key in keys]
    assert len(set(keys)) == 50
    assert len(choose_architectures(SPACE, Architectures(distinct=True))) == 5260
    (tmp_path / "a.csv").write_text("arch\n" + "\n".join([some[0], some[1], some[0]]) + "\n")
    assert choose_architectures(SPACE, Architectures(file=str(tmp_path / "a.csv"))) == some[:2]
    with pytest.raises(FusionError, match="5260 different networks"):
        choose_architectures(SPACE, Architectures(sample=6000, distinct=True))
