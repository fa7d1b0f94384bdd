"""What a pipeline file may say."""

from dataclasses import replace

import pytest
import yaml

from fusion.benchmarks.source import AccuracySettings
from fusion.errors import FusionError
from fusion.evaluation import Judging
from fusion.pipeline.config import Pipeline, SearchSettings, load_pipeline
from fusion.regression import ModelSpec
from fusion.spaces import make_space
from fusion.storage.bundled import bundled, bundled_names, find
from fusion.storage.documents import read_json
from fusion.tables.choosing import Architectures

MINIMAL = {"title": "T", "space": {"name": "nats-tss"}, "accuracies": {"table": "a.csv"}, "target": "t"}


@pytest.fixture
def load(tmp_path):
    def load(values, *settings):
        (tmp_path / "p.yaml").write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return load_pipeline(tmp_path / "p.yaml", settings)

    return load


@pytest.mark.parametrize("name", bundled_names("pipelines", ".yaml"))
def test_bundled_pipelines_load(name):
    pipeline = load_pipeline(name)
    assert pipeline == load_pipeline(bundled(f"pipelines/{name}.yaml"))
    settings = {key: value for key, value in pipeline.space.items() if key != "name"}
    space = make_space(pipeline.space["name"], settings)
    assert settings.items() <= space.settings.items()
    name, first = next(iter(pipeline.models.items()))  # saved as the run's model
    assert name == first.model == "auto"
    if pipeline.table:
        assert space.identity.items() <= read_json(find(pipeline.table) / "meta.json", repair="").items()


def test_what_is_left_out_has_its_default(load):
    pipeline = load(MINIMAL)
    assert pipeline == Pipeline("T", {"name": "nats-tss"}, AccuracySettings("a.csv"), "t")
    assert pipeline.evaluation == Judging(None, None, 10, 200, 0)
    assert pipeline.models == {name: ModelSpec(name) for name in ("auto", "weighted_sum", "lightgbm")}
    assert pipeline.architectures == Architectures()
    assert (pipeline.seed, pipeline.repeats, pipeline.batch_size, pipeline.workers) == (0, 1, 64, 0)
    assert (pipeline.device, pipeline.indicators) == ("auto", "standard")
    assert pipeline.search is None
    assert load({**MINIMAL, "search": {}}).search == SearchSettings(model=None)


def test_settings_override_nested_keys_and_keep_the_rest():
    before = load_pipeline("digits")
    pairs = ["evaluation.splits=3", "indicators=cj,params", "models.fi.params={}", "search=null"]
    pipeline = load_pipeline("digits", pairs)
    assert pipeline.evaluation == replace(before.evaluation, splits=3)
    assert pipeline.indicators == "cj,params"
    assert pipeline.models["fi"] == ModelSpec("fi", None, {})
    assert pipeline.models["lightgbm"] == before.models["lightgbm"]
    assert pipeline.search is None


def test_several_tables_have_accuracies_each(load):
    values = {**MINIMAL, "tables": ["one", "two"], "accuracies": [{"table": "a.csv"}, {"archive": "b"}]}
    pipeline = load(values, "accuracies.1.column=error", "accuracies.1.lower_is_better=true", "tables.0=none")
    assert pipeline.tables == ("none", "two")
    assert pipeline.accuracies == (
        AccuracySettings("a.csv"),
        AccuracySettings(archive="b", column="error", lower_is_better=True),
    )


def test_numbers_are_texts_where_texts_are_wanted(load):
    pipeline = load({**MINIMAL, "title": 2026, "accuracies": {"archive": "x", "epochs": 200}})
    assert (pipeline.title, pipeline.accuracies.epochs) == ("2026", "200")
    assert load("\n".join(f"{key}: {value}" for key, value in MINIMAL.items()), "models.m.model=x").models[
        "m"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"title": ["a"]}, "title: expected text, got ['a']"),
        ({"title": None}, "title: expected text, got None"),
        ({"batch_size": True}, "batch_size: expected a whole number, got True"),
        ({"batch_size": 3.0}, "batch_size: expected a whole number, got 3.0"),
        ({"architectures": "all"}, "architectures: expected a mapping of keys, got 'all'"),
        ({"architectures": {"distinct": 1}}, "architectures: distinct: expected true or false, got 1"),
        ({"models": ["lightgbm"]}, "models: expected a mapping, got ['lightgbm']"),
        (
            {"models": {"m": {"model": "lightgbm", "size": 3}}},
            "models: m: key 'size' does not exist; known: model, indicators, params",
        ),
        ({"models": {"m": {}}}, "models: m: key 'model' is missing"),
        ({"evaluation": {"train_sizes": 3}}, "evaluation: train_sizes: expected a list, got 3"),
        ({"evaluation": {"train_sizes": [3, "x"]}}, "train_sizes: 1: expected a whole number, got 'x'"),
        ({"evaluation": {"train_size": "many"}}, "train_size: expected a whole number, got 'many'"),
        ({"serch": None}, "p.yaml: key 'serch' does not exist; did you mean 'search'?"),
        ({1: 2}, "p.yaml: key '1' does not exist; known: title, space, "),
        ({"accuracies": 3}, "accuracies: expected a mapping of keys, got 3"),
        ({"accuracies": {"tables": "x"}}, "accuracies: key 'tables' does not exist; did you mean 'table'"),
        ({"accuracies": [{"table": "x"}]}, "accuracies: a list of them goes with `tables`"),
        ({"tables": ["x", "y"]}, "accuracies: give a list of 2, one for each of `tables`"),
        ({"tables": ["x"], "accuracies": [{}, {}]}, "accuracies: give a list of 1"),
        ({"tables": ["x"], "accuracies": [{"colum": 1}]}, "accuracies: 0: key 'colum' does not exist"),
        ({"tables": ["x"], "table": "y", "accuracies": [{}]}, "tables: they are in place of `table`"),
    ],
)
def test_wrong_values_are_named(load, change, told):
    with pytest.raises(FusionError) as raised:
        load({**MINIMAL, **change})
    assert str(raised.value).startswith("pipeline p.yaml: ")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_key_is_told_before_a_missing_one(load):
    with pytest.raises(FusionError, match="key 'titel' does not exist; did you mean 'title'"):
        load({"titel": "T"})
    with pytest.raises(FusionError, match=r"^pipeline p.yaml: key 'title' is missing$"):
        load({})
    with pytest.raises(FusionError, match=r"^pipeline p.yaml: expected a mapping of keys, got \['a'\]$"):
        load(["a"])


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("title.x=1", "--set title.x: 'title' has no 'x'"),
        ("tables.3=x", "--set tables.3: 'tables' has no '3'"),
        ("title", "--set title: expected key=value"),
        ("title=[", r"--set title=\[: the value is not readable as YAML"),
    ],
)
def test_a_wrong_setting_is_named(load, pair, told):
    with pytest.raises(FusionError, match=told):
        load({**MINIMAL, "tables": ["x"], "accuracies": [{}]}, pair)


def test_no_such_file(tmp_path):
    with pytest.raises(FusionError, match=r"digits.yaml: no such file; bundled: "):
        load_pipeline(tmp_path / "digits.yaml")
    with pytest.raises(FusionError, match=r"^pipeline mine/digits: no such file; bundled: "):
        load_pipeline("mine/digits")
    assert load_pipeline("digits.yaml") == load_pipeline("pipelines/digits.yaml")
    with pytest.raises(FusionError, match=r"^pipeline dogits: no such file; bundled: .*, digits, "):
        load_pipeline("dogits")
