from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
import torch
from torch import nn

from fusion.errors import FusionError
from fusion.settings import read_settings
from fusion.training.recipe import OPTIMISERS, SCHEDULES, Recipe, load_recipe

FEAR = {"batch_size": 256, "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
DARTS = """
batch_size: 96
lr: 0.025
momentum: 0.9
nesterov: false
weight_decay: 3e-4
augmentation: [crop, flip, cutout]
"""


@pytest.mark.parametrize("make", [Recipe.from_dict, lambda values: Recipe(**values)])
@pytest.mark.parametrize(
    ("key", "values"),
    [
        *((key, [0, -1, 1.0, "3", True, None]) for key in ("epochs", "batch_size", "seeds")),
        *((key, [0, -5, 8.0, "all", False]) for key in ("train_images", "test_every")),
        ("lr", [0, -1.0, "1e-1", float("nan"), float("inf"), None, False]),
        ("momentum", [-0.1, 1, 1.5, "0.9", float("nan")]),
        ("weight_decay", [-1e-9, float("nan"), float("inf"), "5e-4", None]),
        ("nesterov", [None, 1, "yes"]),
        ("optimiser", ["adam", None, 1, [], {}]),
        ("schedule", ["cos", None, ["cosine"]]),
        ("augmentation", ["flip", None, {"flip": 1}, 3]),
    ],
)
def test_value_out_of_range(make, key, values):
    for value in values:
        with pytest.raises(FusionError, match="recipe: ") as raised:
            make({key: value})
        assert str(raised.value).startswith(f"recipe: {key} is {value!r}, expected ")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("names", [["mixup"], ["flip", "mirror"], [["flip"]], [None]])
def test_unknown_augmentation(names):
    with pytest.raises(
        FusionError, match=r"recipe: augmentation is .* expected a list of flip, crop, cutout"
    ):
        Recipe(augmentation=names)


def test_values_at_the_limits():
    limits = {"epochs": 1, "batch_size": 1, "lr": 1, "momentum": 0, "weight_decay": 0, "seeds": 1}
    assert Recipe.from_dict(limits | {"train_images": 1}) == Recipe(1, 1, 1.0, 0.0, 0.0, 1, 1)


def test_unknown_key():
    with pytest.raises(FusionError, match="unknown key epoch, learning_rate; known: epochs, batch_size"):
        Recipe.from_dict({"epoch": 3, "learning_rate": 0.1})


def test_a_recipe_is_a_frozen_value():
    recipe = Recipe(lr=1, augmentation=["flip"])
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert {recipe: 1}[Recipe(lr=1.0, augmentation=("flip",))] == 1
    assert asdict(recipe)["augmentation"] == ("flip",)
    with pytest.raises(FrozenInstanceError):
        recipe.lr = 2.0
    with pytest.raises(FusionError, match="recipe: lr is 0, expected a number above 0"):
        replace(recipe, lr=0)


def test_recipe_survives_json():
    recipe = Recipe(augmentation=("flip", "crop"), test_every=2)
    assert Recipe.from_dict(json.loads(json.dumps(asdict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("epochs", "every", "tested"),
    [
        (5, None, (5,)),
        (5, 1, (1, 2, 3, 4, 5)),
        (5, 2, (2, 4, 5)),
        (6, 3, (3, 6)),
        (3, 3, (3,)),
        (2, 9, (2,)),
        (1, 1, (1,)),
    ],
)
def test_tested_epochs(epochs, every, tested):
    assert Recipe(epochs=epochs, test_every=every).tested == tested


def test_settings_go_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("epochs: 7\nlr: 5e-2\nweight_decay: 1e-4\naugmentation: [flip]\n")
    expected = Recipe(epochs=9, lr=0.05, weight_decay=2e-4, augmentation=("flip",))
    assert load_recipe(file, read_settings(["epochs=9", "weight_decay=2e-4"], "--set")) == expected
    assert load_recipe(None, {}) == Recipe()


def test_recipes_of_papers(tmp_path):
    assert load_recipe(None, FEAR) == Recipe(batch_size=256)
    file = tmp_path / "darts.yaml"
    file.write_text(DARTS)
    recipe = load_recipe(file, {})
    assert (recipe.weight_decay, recipe.schedule, recipe.optimiser) == (3e-4, "cosine", "sgd")
    (group,) = OPTIMISERS[recipe.optimiser]([nn.Parameter(torch.ones(1))], recipe).param_groups
    assert {key: group[key] for key in ("lr", "momentum", "nesterov", "weight_decay")} == {
        "lr": 0.025,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 3e-4,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs: many", r"recipe\.yaml: recipe: epochs is 'many', expected an integer"),
        ("lr: fast", r"recipe\.yaml: recipe: lr is 'fast', expected a number above 0"),
        ("lr: nan", r"recipe\.yaml: recipe: lr is 'nan', expected"),
        ("lr: .nan", r"recipe\.yaml: recipe: lr is nan, expected"),
        ("epoch: 3", r"recipe\.yaml: recipe: unknown key epoch; known: "),
        ("1: 2", r"recipe\.yaml: recipe: unknown key 1; known: "),
        ("augmentation: flip", r"recipe\.yaml: recipe: augmentation is 'flip', expected a list"),
        ("", r"recipe .*recipe\.yaml: expected lines of key: value, got None"),
        ("- epochs: 3", r"recipe .*recipe\.yaml: expected lines of key: value, got \["),
        ("epochs: [3\nlr: 1", r"recipe .*recipe\.yaml: not readable as YAML"),
        (b"\xff\xfe\x00", r"recipe .*recipe\.yaml: not readable as YAML"),
    ],
)
def test_bad_file_is_one_line(tmp_path, text, told):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FusionError, match=told) as raised:
        load_recipe(file, {"epochs": 3, "lr": 0.1})
    assert "\n" not in str(raised.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FusionError, match=r"recipe .*no\.yaml: cannot be read \(No such file"):
        load_recipe(tmp_path / "no.yaml", {})
    with pytest.raises(FusionError, match=r"recipe .*: cannot be read \(Is a directory"):
        load_recipe(tmp_path, {})


def test_bad_setting_does_not_blame_the_file(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("epochs: 7\n")
    with pytest.raises(FusionError, match=r"^recipe: epochs is 0, expected"):
        load_recipe(file, {"epochs": 0})


def learning_rates(scheduler, optimiser, steps):
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_schedules_are_those_of_torch():
    steps = 24
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    expected = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    assert [SCHEDULES["cosine"](i, steps) for i in range(steps)] == pytest.approx(
        learning_rates(expected, optimiser, steps)
    )
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    expected = torch.optim.lr_scheduler.MultiStepLR(optimiser, [12, 18])
    assert [SCHEDULES["step"](i, steps) for i in range(steps)] == pytest.approx(
        learning_rates(expected, optimiser, steps)
    )
    assert {SCHEDULES["constant"](i, steps) for i in range(steps)} == {1.0}
