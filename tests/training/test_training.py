from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.errors import FusionError, InvalidArchitecture
from fusion.images.base import ImageSet
from fusion.seeding import derive_seed, seeded
from fusion.spaces import make_space
from fusion.training import train as module
from fusion.training.recipe import Recipe
from fusion.training.train import train_architecture, training_data
from fusion.training.verb import accuracies
from tests.tables.reading import read_rows
from tests.training.augmented import augmented
from tests.training.measuring import measure

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
RECIPE = Recipe(epochs=1, batch_size=8, train_images=32, seeds=2)
ARCHS = [
    "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",  # its conv is dead
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|",
]
SKIP_ONLY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (rng.integers(0, 80, (60, 8, 8, 1)) + 60 * y[:, None, None, None]).astype(np.uint8)
    return ImageSet("bright", x, y, None, None, 3)


class Counting:
    """Trains as usual and remembers which keys it was asked for."""

    def __init__(self):
        self.keys = []

    def __call__(self, key, **context):
        self.keys.append(key)
        return train_architecture(key, **context)


def values(states: pd.DataFrame) -> pd.DataFrame:
    """The states without what a clock measured."""
    return states.drop(columns="seconds")


def test_resume_recomputes_nothing(images, tmp_path):
    count = Counting()
    first = measure(SPACE, ARCHS[:2], images, RECIPE, tmp_path / "t", train=count)
    assert count.keys == [SPACE.canonical(arch) for arch in ARCHS[:2]]
    second = measure(SPACE, ARCHS[:2], images, RECIPE, tmp_path / "t", train=count)
    assert len(count.keys) == 2
    pd.testing.assert_frame_equal(first, second)
    measure(SPACE, ARCHS, images, RECIPE, tmp_path / "t", train=count)
    assert count.keys[2:] == [SPACE.canonical(ARCHS[2])]


def test_interrupted_training_goes_on_with_what_is_missing(images, tmp_path):
    def breaks_at_the_last(key, **context):
        if key == SPACE.canonical(ARCHS[2]):
            raise KeyboardInterrupt
        return train_architecture(key, **context)

    with pytest.raises(KeyboardInterrupt):
        measure(SPACE, ARCHS, images, RECIPE, tmp_path / "t", train=breaks_at_the_last)
    count = Counting()
    resumed = measure(SPACE, ARCHS, images, RECIPE, tmp_path / "t", train=count)
    assert count.keys == [SPACE.canonical(ARCHS[2])]
    whole = measure(SPACE, ARCHS, images, RECIPE, tmp_path / "whole")
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_equal_networks_are_trained_once(images, tmp_path):
    count = Counting()
    table = measure(SPACE, [ARCHS[0], SKIP_ONLY, ARCHS[0]], images, RECIPE, tmp_path / "t", train=count)
    assert count.keys == [SPACE.canonical(SKIP_ONLY)]
    assert table["arch"].tolist() == count.keys


def test_table_of_accuracies(images, tmp_path):
    table = measure(SPACE, ARCHS, images, RECIPE, tmp_path / "t")
    assert set(table["arch"]) == {SPACE.canonical(arch) for arch in ARCHS}
    seeds = table[["accuracy_seed_0", "accuracy_seed_1"]]
    np.testing.assert_allclose(table["accuracy"], seeds.mean(axis=1))
    # 28 of the 60 images test
    np.testing.assert_allclose(seeds * 0.28, (seeds * 0.28).round(), atol=1e-4)
    assert (table["seconds"] > 0).all()


def test_states_have_one_row_per_seed_and_epoch(images):
    recipe = Recipe(epochs=2, batch_size=8, train_images=32, seeds=3)
    rows = pd.DataFrame(train_architecture(ARCHS[1], SPACE, training_data(images, recipe), recipe))
    assert list(zip(rows["seed"], rows["epoch"], strict=True)) == [(s, e) for e in (1, 2) for s in (0, 1, 2)]
    assert rows.loc[rows["epoch"] == 1, "test_accuracy"].isna().all()
    assert rows.loc[rows["epoch"] == 2, "test_accuracy"].between(0, 100).all()
    assert rows.loc[rows["epoch"] == 2, "train_loss"].nunique() == 3


def optimiser_by_hand(network, recipe, total):
    """The optimiser and the schedule, from torch itself."""
    schedules = torch.optim.lr_scheduler
    if recipe.optimiser == "adamw":
        optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        return optimiser, schedules.ConstantLR(optimiser, 1.0)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=recipe.lr,
        momentum=0.9,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    if recipe.schedule == "step":
        return optimiser, schedules.MultiStepLR(optimiser, [total // 2, 3 * total // 4])
    return optimiser, schedules.CosineAnnealingLR(optimiser, total)


def train_by_hand(key, data, recipe, seed):
    """One network, one seed, written as one would without stacking: loss and test accuracy."""
    with seeded(derive_seed("measure", key, seed)):
        network = SPACE.build(key, in_channels=1, num_classes=data.num_classes)
    order = np.random.default_rng(derive_seed("order", key, seed))
    draw = np.random.default_rng(derive_seed("augmentation", key, seed))
    count, steps = len(data.x_train), len(data.x_train) // recipe.batch_size
    optimiser, schedule = optimiser_by_hand(network, recipe, recipe.epochs * steps)
    for _ in range(recipe.epochs):
        losses = []
        permutation = order.permutation(count)[: steps * recipe.batch_size].reshape(steps, -1)
        uniform = draw.random((count, len(recipe.augmentation), 2))
        for step, index in enumerate(permutation):
            numbers = uniform[step * recipe.batch_size :][: recipe.batch_size]
            x = torch.from_numpy(augmented(data.x_train[index].numpy(), recipe.augmentation, numbers))
            loss = functional.cross_entropy(network(x), data.y_train[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
    with torch.no_grad():
        hits = network.eval()(data.x_test).argmax(1) == data.y_test
    return np.mean(losses), 100 * hits.double().mean().item()


BY_HAND = {"epochs": 2, "batch_size": 8, "train_images": 32, "seeds": 2}
OTHERS = [
    {"optimiser": "adamw", "schedule": "constant", "lr": 0.01, "weight_decay": 0.1},
    {"nesterov": False, "schedule": "step", "augmentation": ["crop", "flip", "cutout"]},
]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("stackable", [True, False])
@pytest.mark.parametrize("keys", [{"batch_size": 7}, *OTHERS])
def test_training_is_that_of_each_network_alone(images, arch, stackable, keys, monkeypatch):
    if not stackable:
        monkeypatch.setattr(module, "_joint_network", lambda networks, x: None)
    recipe = Recipe(**(BY_HAND | keys))
    data = training_data(images, recipe)
    rows = [row for row in train_architecture(arch, SPACE, data, recipe) if row["epoch"] == 2]
    for row in rows:
        loss, accuracy = train_by_hand(arch, data, recipe, row["seed"])
        assert row["train_loss"] == pytest.approx(loss, rel=1e-3)
        # Adam's first steps are as long for a gradient of rounding errors: one of the 28 images may turn
        image = 100 / 28 if recipe.optimiser == "adamw" else 0
        assert row["test_accuracy"] == pytest.approx(accuracy, abs=image + 1e-3)


@pytest.mark.parametrize("keys", [{"optimiser": "adamw"}, {"nesterov": False}, {"schedule": "step"}])
def test_every_key_counts(images, keys):
    def loss(recipe):
        (row,) = train_architecture(ARCHS[2], SPACE, training_data(images, recipe), recipe)
        return row["train_loss"]

    recipe = Recipe(epochs=1, batch_size=8, train_images=32, seeds=1)
    assert abs(loss(replace(recipe, **keys)) - loss(recipe)) > 1e-3


def test_tested_after_so_many_epochs_without_a_change_to_the_training(images):
    recipe = Recipe(epochs=5, batch_size=8, train_images=32, seeds=2, augmentation=("flip",))
    data = training_data(images, recipe)
    once, often = (
        pd.DataFrame(train_architecture(ARCHS[1], SPACE, data, replace(recipe, test_every=every)))
        for every in (None, 2)
    )
    assert once.loc[once["test_accuracy"].notna(), "epoch"].tolist() == [5, 5]
    assert often.loc[often["test_accuracy"].notna(), "epoch"].tolist() == [2, 2, 4, 4, 5, 5]
    states = ["key", "seed", "epoch", "train_loss", "train_accuracy"]
    pd.testing.assert_frame_equal(once[states], often[states])
    assert once["test_accuracy"].iloc[-2:].tolist() == often["test_accuracy"].iloc[-2:].tolist()


def test_diverged_training_leaves_rows_that_say_so(images, tmp_path):
    recipe = Recipe(epochs=2, batch_size=8, train_images=32, seeds=2, lr=1e30, test_every=1)
    table = measure(SPACE, ARCHS[2:], images, recipe, tmp_path / "t")
    states = read_rows(tmp_path / "t", module.KEYS)
    assert len(states) == 4
    assert not np.isfinite(states.loc[states["epoch"] == 2, "train_loss"]).any()
    assert states["test_accuracy"].between(0, 100).all()
    assert table["accuracy"].notna().all()
    # the images are of three classes, of which such a network names one
    assert (table["accuracy"] < 50).all()


def test_training_stacks_where_it_can(images, monkeypatch):
    widths = []
    train = module._train
    all_none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    monkeypatch.setattr(
        module, "_train", lambda net, *rest: widths.append(net.stem[0].in_channels) or train(net, *rest)
    )
    data = training_data(images, RECIPE)
    for arch in (ARCHS[1], all_none):
        train_architecture(arch, SPACE, data, RECIPE)
    assert widths == [RECIPE.seeds] * 2


def test_network_that_mixes_channels_is_not_stacked(images):
    class Mixing(nn.Module):
        """Stacks without an error into something else: the mean over all channels."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 1)

        def forward(self, x):
            out = self.conv(x)
            return (out - out.mean(1, keepdim=True)).mean((2, 3))

    data = training_data(images, RECIPE)
    assert module._joint_network([Mixing(), Mixing()], data.x_train) is None
    same = nn.Sequential(nn.Conv2d(1, 3, 8), nn.Identity())
    assert module._joint_network([same, same], data.x_train) is not None


def test_repeat_is_exact_whatever_ran_before(images, tmp_path):
    measure(SPACE, ARCHS, images, RECIPE, tmp_path / "a")
    torch.rand(5)
    measure(SPACE, ARCHS[::-1], images, RECIPE, tmp_path / "b")
    tables = [values(read_rows(tmp_path / name, module.KEYS)) for name in "ab"]
    pd.testing.assert_frame_equal(*tables)


def test_global_random_state_is_left_alone(images):
    state = torch.random.get_rng_state()
    train_architecture(ARCHS[1], SPACE, training_data(images, RECIPE), RECIPE)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_accuracies_are_those_of_the_architectures_asked_for(images, tmp_path):
    measure(SPACE, ARCHS, images, RECIPE, tmp_path / "t")
    table = measure(SPACE, ARCHS[:1], images, RECIPE, tmp_path / "t")
    assert table["arch"].tolist() == [SPACE.canonical(ARCHS[0])]
    for order in (ARCHS, ARCHS[::-1], [ARCHS[2], SKIP_ONLY, ARCHS[2], ARCHS[0]]):
        table = measure(SPACE, order, images, RECIPE, tmp_path / "t")
        assert table["arch"].tolist() == list(dict.fromkeys(map(SPACE.canonical, order)))


def test_other_images_of_the_same_name_are_refused(images, tmp_path):
    measure(SPACE, ARCHS[:1], images, RECIPE, tmp_path / "t")
    other = ImageSet(images.name, images.x_train[::-1], images.y_train, None, None, 3)
    with pytest.raises(FusionError, match=r"images_digest is .*choose another --out"):
        measure(SPACE, ARCHS[:1], other, RECIPE, tmp_path / "t")


def test_no_architecture_at_all(images, tmp_path):
    with pytest.raises(FusionError, match="no architecture to measure"):
        measure(SPACE, [], images, RECIPE, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_training_learns(images):
    recipe = Recipe(epochs=6, batch_size=8, train_images=48, seeds=1, lr=0.05)
    space = make_space("nats-tss", {"channels": 4, "cells": 1})
    (*_, last) = train_architecture(ARCHS[1], space, training_data(images, recipe), recipe)
    assert last["train_accuracy"] > 60


def test_other_recipe_on_the_same_folder(images, tmp_path):
    measure(SPACE, ARCHS[:1], images, RECIPE, tmp_path / "t")
    other = Recipe(epochs=1, batch_size=8, train_images=32, seeds=2, lr=0.01)
    with pytest.raises(FusionError, match=r"recipe is .*choose another --out"):
        measure(SPACE, ARCHS[:1], images, other, tmp_path / "t")


def test_bad_architecture_is_found_before_any_training(images, tmp_path):
    count = Counting()
    with pytest.raises(InvalidArchitecture):
        measure(SPACE, [ARCHS[0], "no"], images, RECIPE, tmp_path / "t", train=count)
    assert count.keys == []
    assert not Path(tmp_path / "t").exists()


@pytest.mark.parametrize("size", [60, 61, 7])
def test_too_few_images(images, size):
    with pytest.raises(FusionError, match="train_images"):
        training_data(images, Recipe(batch_size=8, train_images=size))


def test_fewer_images_than_classes(images):
    with pytest.raises(FusionError, match="train_images 2 is out of range: images 'bright' have 3 classes"):
        training_data(images, Recipe(batch_size=2, train_images=2))
    assert len(training_data(images, Recipe(batch_size=2, train_images=3)).x_train) == 3


def test_training_part_is_balanced_fixed_and_apart_from_the_test_part(images):
    data = training_data(images, RECIPE)
    assert torch.bincount(data.y_train).tolist() in ([11, 11, 10], [11, 10, 11], [10, 11, 11])
    assert len(data.x_train) == 32
    assert len(data.x_test) == 28
    both = torch.cat([data.x_train, data.x_test])
    assert len(torch.unique(both.flatten(1), dim=0)) == 60
    assert torch.equal(training_data(images, RECIPE).x_train, data.x_train)


def test_images_with_a_test_part_keep_it(images):
    x, y = images.x_train, images.y_train
    with_test = ImageSet("split", x[:40], y[:40], x[40:], y[40:], 3)
    data = training_data(with_test, Recipe(batch_size=8))
    assert (len(data.x_train), len(data.x_test)) == (40, 20)
    assert torch.equal(data.x_test, with_test.tensor(x[40:]))


def test_accuracies_of_states_by_hand():
    states = pd.DataFrame(
        [
            *(("a", 0, 1, 90.0, 1.0), ("a", 0, 2, None, 1.0), ("a", 0, 3, 50.0, 1.0)),
            *(("a", 1, 1, 20.0, 2.0), ("a", 1, 2, None, 2.0), ("a", 1, 3, 60.0, 5.0)),
        ],
        columns=["key", "seed", "epoch", "test_accuracy", "seconds"],
    )
    (row,) = accuracies(states).to_dict("records")
    assert row == {
        "arch": "a",
        "accuracy": 55.0,
        "accuracy_seed_0": 50.0,
        "accuracy_seed_1": 60.0,
        "seconds": 6.0,
    }
