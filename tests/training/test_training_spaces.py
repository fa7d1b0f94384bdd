"""Networks of every space train, stacked where that changes nothing; bundled states come out again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from torch import nn

from fusion.images import load_images
from fusion.spaces import SPACES, make_space, restore_space
from fusion.storage.bundled import bundled
from fusion.storage.parts import read_meta
from fusion.training import train as module
from fusion.training.recipe import Recipe
from fusion.training.train import KEYS, train_architecture, training_data
from fusion.work.devices import single_thread
from fusion.work.provenance import hardware, library_versions
from tests.tables.reading import read_rows
from tests.training.measuring import measure

RECIPE = Recipe(epochs=1, batch_size=8, train_images=16, seeds=2, augmentation=("flip", "crop"))
DEEP = {"width": 4, "depth": 11}
STATES = ["train_loss", "train_accuracy", "test_accuracy"]


@pytest.fixture(scope="module")
def few():
    """A few digits for training and for testing."""
    data = training_data(load_images("digits"), RECIPE)
    return replace(data, x_test=data.x_test[:20], y_test=data.y_test[:20])


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
def test_every_space_trains_as_one_by_one(few, name, monkeypatch):
    space = SPACES[name]().thin()
    key = space.canonical(space.sample(2, seed=0)[1])
    rows = pd.DataFrame(train_architecture(key, space, few, RECIPE))
    assert len(rows) == RECIPE.seeds
    assert np.isfinite(rows[STATES]).all(axis=None)
    monkeypatch.setattr(module, "_joint_network", lambda networks, x: None)
    alone = pd.DataFrame(train_architecture(key, space, few, RECIPE))
    np.testing.assert_allclose(rows["train_loss"], alone["train_loss"], rtol=1e-3)
    # an image of the twenty may lie on the border
    np.testing.assert_allclose(rows["test_accuracy"], alone["test_accuracy"], atol=5.001)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("nds-nasnet", DEEP), ("nds-darts", DEEP), ("nas-bench-101", {"channels": 8, "cells": 1, "stacks": 1})],
)
def test_networks_that_join_features_are_not_stacked(few, name, settings):
    """Deep ones say so in training mode alone: their first logits are the classifier's bias."""
    space = make_space(name, settings)
    for arch in space.sample(2, seed=0):
        networks = module._build(space, space.canonical(arch), few, [0, 1])
        assert module._joint_network(networks, few.x_train) is None


def test_bundled_states_are_trained_again_and_twice_bit_for_bit():
    folder = bundled("data/digits-tss")
    meta = read_meta(folder)
    if (hardware("cpu"), library_versions()["torch"]) != (
        meta["provenance"]["hardware"],
        meta["provenance"]["libraries"]["torch"],
    ):
        pytest.skip("sums are rounded otherwise on other hardware, or by another torch")
    recipe = Recipe.from_dict(meta["recipe"])
    space = restore_space(meta)
    data = training_data(load_images("digits"), recipe)
    states = read_rows(folder, KEYS)
    key = sorted(states["key"].unique())[2500]
    with single_thread():
        again, twice = (
            pd.DataFrame(train_architecture(key, space, data, recipe)).sort_values(KEYS, ignore_index=True)
            for _ in range(2)
        )
    pd.testing.assert_frame_equal(again[KEYS + STATES], twice[KEYS + STATES], check_exact=True)
    expected = states[states["key"] == key].reset_index(drop=True)
    # processors of one name may add in another order, which training makes more of
    off = (again[STATES] - expected[STATES]).abs().mean()
    assert (off <= 0.02 * expected[STATES].abs().mean()).all()


def test_bundled_states_can_be_resumed(tmp_path):
    shutil.copytree(bundled("data/digits-tss"), tmp_path / "copy")
    meta = json.loads((tmp_path / "copy" / "meta.json").read_text())
    space = restore_space(meta)
    recipe = Recipe(epochs=5, batch_size=32, lr=0.2, train_images=192, seeds=8)
    expected = pd.read_parquet(tmp_path / "copy" / "accuracies.parquet").iloc[:3]
    found = measure(
        space, expected["arch"].tolist(), load_images("digits"), recipe, tmp_path / "copy", train=None
    )
    pd.testing.assert_frame_equal(found, expected)


class _Viewing(nn.Module):
    """Its `view` fails where the channels are last in memory."""

    def __init__(self, channels, classes):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(16, classes)

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(self.conv(x).relu(), 2)
        return self.head(x.view(x.size(0), -1))


@pytest.mark.parametrize("change", [nn.Sequential, lambda network: nn.Sequential(network, nn.Tanh())])
def test_a_network_that_views_its_features_trains_on_one_channel(few, change):
    """The digits' strides say channels last; the second kind cannot be stacked."""

    class Own(type(make_space("nats-sss"))):
        def build(self, arch, *, in_channels=3, num_classes=10):
            return change(_Viewing(in_channels, num_classes))

    assert few.x_train.stride()[1] == 1
    rows = pd.DataFrame(train_architecture("16:16:16:16:16", Own(), few, RECIPE))
    assert np.isfinite(rows[STATES]).all(axis=None)
