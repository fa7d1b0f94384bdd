"""The page "How to measure accuracies", followed in an empty folder, with fewer images to train on."""

import json
import os
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fusion.cli import main
from fusion.storage.bounded_yaml import parse_yaml
from fusion.training.recipe import Recipe, load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "measure.md").read_text(encoding="utf-8")
# a block belongs to the file whose name, with a colon, stands before it
FILES = dict(re.findall(r"`([\w.-]+\.yaml)`:\n\n```yaml\n(.*?)```", PAGE, re.DOTALL))
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
ARCHITECTURES = 40
SEEDS, EPOCHS, TESTED = 2, 4, [2, 4]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which the page was followed, and the names that its Python made."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    names: dict = {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for language, block in BLOCKS:
            if language == "python":
                exec(block, names)
                continue
            for line in block.splitlines():
                fewer = ["--set", "train_images=48"] if "--recipe" in line else []
                assert main(shlex.split(line)[1:] + fewer) == 0, line
    finally:
        os.chdir(before)
    return folder, names


def test_the_recipe_has_every_key():
    assert set(yaml.safe_load(FILES["recipe.yaml"])) == set(Recipe.__dataclass_fields__)


def test_the_keys_of_papers_are_keys():
    for row in re.findall(r"^\| (?:FEAR|DARTS).*\| (.*) \|$", PAGE, re.MULTILINE):
        keys = parse_yaml("\n".join(re.findall(r"`(\w+: .*?)`", row)))
        assert load_recipe(None, keys) != Recipe()


def test_states_and_curves(followed):
    folder, names = followed
    table = pd.read_parquet(folder / "states" / "accuracies.parquet").set_index("arch")
    assert 30 < len(table) <= ARCHITECTURES
    assert len(names["states"]) == len(table) * SEEDS * EPOCHS
    tested = names["states"].dropna(subset="test_accuracy")
    assert sorted(tested["epoch"].unique()) == TESTED
    assert len(tested) == len(table) * SEEDS * len(TESTED)
    assert names["curves"].index.tolist() == TESTED
    assert names["curves"].loc[4].to_dict() == pytest.approx(table["accuracy"].to_dict())
    assert names["agreement"].index.tolist() == TESTED
    assert names["agreement"].loc[4] == pytest.approx(1)


def test_every_use_has_the_accuracies(followed):
    folder, names = followed
    assert names["last"]["accuracy"].to_dict() == pytest.approx(names["curves"].loc[4].to_dict())
    assert names["earlier"]["accuracy"].to_dict() == pytest.approx(names["curves"].loc[2].to_dict())
    assert (folder / "model" / "model.json").exists()
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["protocol"]["networks"] == names["curves"].shape[1]
    predictions = pd.read_parquet(folder / "out" / "predictions.parquet")
    assert set(predictions["measured"].round(6)) <= set(names["curves"].loc[2].round(6))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--recipe", "nowhere.yaml"], "recipe nowhere.yaml: cannot be read"),
        (["--recipe", "RECIPE", "--set", "epochs=0"], "recipe: epochs is 0, expected"),
        (
            ["--recipe", "RECIPE", "--set", "train_images=48", "seeds=3"],
            "holds a table of other settings (recipe is",
        ),
    ],
)
def test_bad_recipe_is_one_line(followed, capsys, options, told):
    folder, _ = followed
    options = [str(folder / "recipe.yaml") if option == "RECIPE" else option for option in options]
    command = [
        "measure",
        "--space",
        "nats-tss",
        "--space-set",
        "channels=4",
        "cells=1",
        "--archs",
        "sample:3",
    ]
    assert main([*command, "--images", "digits", "--out", str(folder / "states"), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
