"""The seconds of an indicator are its own: what only it needs, and its share of the rest."""

from __future__ import annotations

import time

import pytest

from fusion.extraction import planner
from fusion.extraction.planner import compute
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.indicators import needs_graphs, select
from fusion.probes.feature_maps import FeatureCorrelations
from fusion.spaces import make_space

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
KEY = SPACE.canonical(SPACE.sample(1, seed=3)[0])
BATCH = load_images("digits").batch(8)


def seconds(names):
    return {v.indicator: v.seconds for v in compute(names, make_subject(SPACE, KEY, BATCH, seed=0, repeat=0))}


def test_they_add_up_to_the_time_spent():
    seconds(["params"])  # what is loaded at the first call
    started = time.perf_counter()
    found = seconds(select("standard"))
    spent = time.perf_counter() - started
    assert 0.5 * spent < sum(found.values()) <= spent
    assert min(found.values()) >= 0


def test_what_one_observation_costs_falls_to_its_indicator(monkeypatch):
    slow = FeatureCorrelations.smallest_eigenvalues

    def slower(self):
        time.sleep(0.2)
        return slow(self)

    monkeypatch.setattr(FeatureCorrelations, "smallest_eigenvalues", slower)
    found = seconds(["meco", "naswot", "cj", "grad_norm", "params"])
    assert found["meco"] >= 0.2
    assert max(value for name, value in found.items() if name != "meco") < 0.15


def test_the_making_of_the_network_is_shared_by_those_that_need_it(monkeypatch):
    build = type(SPACE).build

    def slower(self, *arguments, **options):
        time.sleep(0.3)
        return build(self, *arguments, **options)

    monkeypatch.setattr(type(SPACE), "build", slower)
    found = seconds(["params", "flops", "naswot", "graph_count_conv"])
    assert found.pop("graph_count_conv") < 0.05
    assert all(0.1 <= value < 0.25 for value in found.values()), found


def test_shares():
    users = {"one": {"a"}, "two": {"a", "b"}, "three": {"c"}}
    metered = {"a": 4.0, "b": 1.0, "d": 7.0, "cb": 2.0}
    found = planner._shares(20.0, {frozenset(names): value for names, value in metered.items()}, users)
    # what nobody asked for (`d`) is a part of what all share
    rest = (20 - 4 - 1 - 2) / 3
    assert found == pytest.approx({"one": 2 + rest, "two": 2 + 1 + 1 + rest, "three": 1 + rest})


def test_indicators_of_the_graphs_are_known():
    assert {name for name in select("full") if needs_graphs(name)} == {
        name for name in select("full") if name.startswith("graph_")
    }
