"""What a pipeline file may say."""

import pytest
import yaml

from fusion.errors import FusionError
from fusion.pipeline.config import Architectures, ModelSettings, load_pipeline
from fusion.pipeline.inputs import choose_architectures, model_features
from fusion.spaces import make_space
from fusion.storage.bundled import bundled, find
from fusion.storage.parts import read_meta

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})


@pytest.mark.parametrize("path", sorted(bundled("pipelines").glob("*.yaml")), ids=lambda p: p.stem)
def test_bundled_pipelines_load(path):
    pipeline = load_pipeline(path)
    assert pipeline == load_pipeline(path.stem)
    settings = {key: value for key, value in pipeline.space.items() if key != "name"}
    space = make_space(pipeline.space["name"], settings)
    assert settings.items() <= space.settings.items()
    if pipeline.table:
        meta = read_meta(find(pipeline.table))
        assert space.identity.items() <= meta.items()
        assert len(choose_architectures(space, pipeline.architectures)) >= 594


def test_settings_override_nested_keys_and_keep_the_rest():
    pipeline = load_pipeline("digits", ["evaluation.splits=3", "indicators=cj,params", "models.fi.params={}"])
    assert pipeline.evaluation.splits == 3
    assert pipeline.evaluation.train_size == load_pipeline("digits").evaluation.train_size
    assert pipeline.models["fi"] == ModelSettings("weighted_sum", "fi", {})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"title": ["a"]}, "title: expected text"),
        ({"batch_size": True}, "batch_size: expected a whole number"),
        ({"architectures": "all"}, "architectures: expected a mapping"),
        ({"models": {"m": {"model": "lightgbm", "size": 3}}}, "models: m: key 'size'"),
        ({"evaluation": {"train_sizes": 3}}, "train_sizes: expected a list"),
        ({"serch": None}, "did you mean 'search'"),
    ],
)
def test_wrong_values_are_named(tmp_path, change, told):
    values = yaml.safe_load(bundled("pipelines/digits.yaml").read_text())
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**values, **change}))
    with pytest.raises(FusionError, match=told):
        load_pipeline(tmp_path / "p.yaml")


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


def test_a_model_may_only_see_what_is_extracted():
    assert model_features(ModelSettings("lightgbm"), ["cj", "os"]) == ["cj", "os"]
    assert model_features(ModelSettings("lightgbm", "cj"), ["cj", "os"]) == ["cj"]
    with pytest.raises(FusionError, match="needs nlr, cnntk"):
        model_features(ModelSettings("weighted_sum", "fi"), ["cj", "os"])
