from __future__ import annotations

import json

import pandas as pd
import pytest
from fusion.pipeline.inputs import load_accuracies

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.images import load_images
from fusion.pipeline.config import AccuracySettings
from fusion.spaces import make_space
from fusion.training.measure import KEYS, measure
from fusion.training.recipe import Recipe
from tests.tables.reading import read_rows

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
RECIPE = Recipe(epochs=3, batch_size=16, train_images=256, seeds=2, test_every=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """States of three epochs, of which the second and the last were tested."""
    out = tmp_path_factory.mktemp("measured") / "m"
    measure(SPACE, SPACE.sample(2, seed=0), load_images("digits"), RECIPE, out)
    return out


def test_accuracies_after_every_tested_epoch(folder):
    benchmark = BENCHMARKS["measured"](folder)
    assert benchmark.epochs == (2, 3)
    states = read_rows(folder, KEYS)
    for epochs in benchmark.epochs:
        found = benchmark.accuracies(epochs=epochs)
        by_key = states[states["epoch"] == epochs].groupby("key")["test_accuracy"].mean()
        assert found["accuracy"].to_dict() == pytest.approx(by_key.to_dict())
        seconds = states[states["epoch"] <= epochs].groupby("key")["seconds"].sum() / RECIPE.seeds
        assert found["cost"].to_dict() == pytest.approx(seconds.to_dict())
        assert set(found["seeds"]) == {2}
        spread = states[states["epoch"] == epochs].groupby("key")["test_accuracy"].std()
        assert found["spread"].to_dict() == pytest.approx(spread.to_dict())
    with pytest.raises(FusionError, match="no epochs 1; known: 2, 3"):
        benchmark.accuracies(epochs=1)


def test_the_last_epoch_is_what_is_meant(folder):
    benchmark = BENCHMARKS["measured"](folder)
    pd.testing.assert_frame_equal(benchmark.accuracies(), benchmark.accuracies(epochs=3))
    assert not benchmark.accuracies()["accuracy"].equals(benchmark.accuracies(epochs=2)["accuracy"])


def test_pipeline_names_an_epoch(folder):
    chosen = AccuracySettings(
        archive=str(folder), benchmark="measured", dataset="digits", split="test", epochs="2"
    )
    expected = BENCHMARKS["measured"](folder).accuracies(epochs=2)["accuracy"]
    assert load_accuracies(chosen, SPACE).by_arch.to_dict() == expected.to_dict()


def test_states_of_a_recipe_with_fewer_keys(folder, tmp_path):
    """Folders of before `test_every` and its like can still be read."""
    (tmp_path / "parts").symlink_to(folder / "parts")
    meta = json.loads((folder / "meta.json").read_text())
    meta["recipe"] = {"epochs": 3, "seeds": 2}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    assert BENCHMARKS["measured"](tmp_path).epochs == (3,)
