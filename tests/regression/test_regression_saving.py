"""Predictors on disk: what was saved is what is loaded, and what is damaged is told."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from fusion.errors import FusionError
from fusion.regression import (
    MODELS,
    FusionModel,
    ModelSpec,
    ModelState,
    OnIndicators,
    Predictor,
    WeightedSum,
    fit,
    make_model,
)
from fusion.regression.saving import FORMAT, document, read_model, write_model
from fusion.spaces import make_space
from tests.tables.small import NAMES, accuracies_of, distinct, labelled, table_of, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

VARIANTS = [
    *(("weighted_sum", {"transformation": kind}) for kind in ("quantile", "signed_log", "standard", "none")),
    ("weighted_sum", {"target": "accuracy", "penalty": "none"}),
    ("fi", {}),
    ("lightgbm", {"n_estimators": 15, "n_members": 2}),
    ("lightgbm", {"n_estimators": 3, "n_members": 1, "target": "accuracy", "random_state": None}),
    ("gaussian_process", {}),
    ("gaussian_process", {"target": "accuracy"}),
    ("extra_trees", {"n_estimators": 5}),
    ("extra_trees", {"n_estimators": 3, "target": "accuracy", "random_state": None}),
    ("log_rank_sum", {}),
    ("lambdarank", {"n_estimators": 5, "n_members": 1}),
    ("pairwise", {}),
    ("weighted_sum", {"constraint": "signs"}),
]


def wild(seed, rows):
    """Return values 60 orders of magnitude apart, some missing."""
    rng = np.random.default_rng(seed)
    values, quality = values_of(distinct(rows), seed)
    values = values * 10.0 ** rng.integers(-30, 31, values.shape)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values, quality


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A LightGBM model on disk."""
    folder = tmp_path_factory.mktemp("original")
    params = {"n_estimators": 5, "n_members": 2}
    fit(labelled(folder / "t"), ModelSpec("lightgbm", ",".join(NAMES), params)).save(folder / "m")
    return folder / "m"


@pytest.fixture
def saved(original, tmp_path):
    """A copy of it, to be damaged."""
    (tmp_path / "m").mkdir()
    for file in original.iterdir():
        (tmp_path / "m" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "m"


@pytest.mark.parametrize(("name", "params"), VARIANTS)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(12, 60))
def test_loaded_predictions_are_equal_to_the_last_bit(tmp_path_factory, name, params, seed, rows):
    folder = tmp_path_factory.mktemp("model")
    values, quality = wild(seed, 80)
    table = table_of(folder / "t", values)
    predictor = fit(table.labelled(accuracies_of(80 + 7 * quality[:rows])), ModelSpec(name, None, params))
    predictor.save(folder / "deep" / "er")
    loaded = Predictor.load(folder / "deep" / "er")
    assert loaded.predict(table).equals(predictor.predict(table))
    assert loaded.outside(table).equals(predictor.outside(table))
    # what was loaded can be saved again, and is the same files
    loaded.save(folder / "again")
    for file in ("model.json", "card.md", *MODELS[name].files):
        assert (folder / "again" / file).read_bytes() == (folder / "deep" / "er" / file).read_bytes()


def test_everything_around_the_model_is_kept(tmp_path):
    predictor = fit(labelled(tmp_path / "t", measured=15), ModelSpec("weighted_sum", "fi,params"))
    predictor.save(tmp_path / "m")
    loaded = Predictor.load(tmp_path / "m")
    for name in ("spec", "features", "target", "lower_is_better", "sources", "notes", "by_group"):
        assert getattr(loaded, name) == getattr(predictor, name)
    assert loaded.space.identity == predictor.space.identity
    assert loaded.ranges.equals(predictor.ranges)
    assert loaded.equation() == predictor.equation()
    assert loaded.card() == predictor.card() == (tmp_path / "m" / "card.md").read_text()
    assert list(loaded.fitted.feature_names_in_) == ["cj", "os", "nlr", "cnntk", "params"]
    assert loaded.notes
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["card.md", "model.json"]
    assert json.loads((tmp_path / "m" / "model.json").read_text())["format"] == FORMAT == 3


@pytest.mark.parametrize("name", ["weighted_sum", "lightgbm"])
def test_a_model_of_several_tables(tmp_path, name):
    datas = [labelled(tmp_path / "a"), labelled(tmp_path / "b", n=50, draw=1)]
    predictor = fit(datas, name)
    predictor.save(tmp_path / "m")
    loaded = Predictor.load(tmp_path / "m")
    assert loaded.by_group
    assert loaded.space is None
    assert loaded.predict(datas[1].table).equals(predictor.predict(datas[1].table))
    assert loaded.sources == predictor.sources


def test_an_empty_indicator_has_no_range(tmp_path):
    values, quality = values_of(distinct(40))
    table = table_of(tmp_path / "t", values.assign(cj=np.nan))
    predictor = fit(table.labelled(accuracies_of(quality)), "weighted_sum")
    predictor.save(tmp_path / "m")
    assert np.isnan(Predictor.load(tmp_path / "m").ranges.loc["cj", "low"])
    assert Predictor.load(tmp_path / "m").remarks(table) == []


def test_settings_chosen_as_numpy_numbers_can_be_saved(tmp_path):
    params = {"n_estimators": np.int64(3), "learning_rate": np.float64(0.3), "n_members": 1}
    fit(labelled(tmp_path / "t"), ModelSpec("lightgbm", params=params)).save(tmp_path / "m")
    assert Predictor.load(tmp_path / "m").fitted.n_estimators == 3


class TestRefusedToSave:
    @pytest.fixture
    def predictor(self, tmp_path):
        return fit(labelled(tmp_path / "t"), ModelSpec("weighted_sum", ",".join(NAMES)))

    def about(self, predictor, **changes):
        return document(**{**predictor._document().model_dump(), **changes})

    def test_random_state_object(self):
        with pytest.raises(
            FusionError, match=r"random_state is RandomState.*, expected true or false, a number"
        ):
            ModelSpec("lightgbm", params={"random_state": np.random.RandomState(0)})

    def test_text_of_two_lines(self, predictor):
        with pytest.raises(FusionError, match="cannot be saved"):
            self.about(predictor, target="one\ntwo")

    def test_unfitted(self, tmp_path, predictor):
        with pytest.raises(NotFittedError):
            write_model(tmp_path, self.about(predictor), WeightedSum())

    def test_features_of_another_table(self, tmp_path, predictor):
        fewer = {"features": NAMES[:2], "low": [0.0, 0.0], "high": [1.0, 1.0]}
        with pytest.raises(FusionError, match="was fitted on 6 indicators, not on 2"):
            write_model(tmp_path, self.about(predictor, **fewer), predictor.fitted)

    def test_unregistered_class(self, tmp_path, predictor):
        class Other(WeightedSum):
            pass

        model = Other().fit(values_of(distinct(9))[0], np.arange(9.0))
        with pytest.raises(FusionError, match="Other cannot be saved: register it"):
            write_model(tmp_path, self.about(predictor), model)

    def test_directory_that_is_a_file(self, tmp_path, predictor):
        (tmp_path / "file").write_text("")
        with pytest.raises(FusionError, match="cannot be made"):
            predictor.save(tmp_path / "file")


class TestRefusedToLoad:
    def refused(self, directory, words, **options):
        with pytest.raises(FusionError, match=words) as caught:
            Predictor.load(directory, **options)
        assert "\n" not in str(caught.value)
        assert str(directory) in str(caught.value)

    def change(self, saved, **changes):
        content = json.loads((saved / "model.json").read_text())
        (saved / "model.json").write_text(json.dumps({**content, **changes}))

    def test_missing_directory(self, tmp_path):
        self.refused(tmp_path / "nowhere", "no model here .model.json is missing")

    def test_missing_json(self, saved):
        (saved / "model.json").unlink()
        self.refused(saved, "no model here .model.json is missing")

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
    def test_truncated_json(self, saved, share):
        data = (saved / "model.json").read_bytes()
        (saved / "model.json").write_bytes(data[: int(len(data) * share)])
        self.refused(saved, "truncated or no JSON")

    def test_no_json_at_all(self, saved):
        (saved / "model.json").write_bytes(pickle.dumps({"format": 1}))
        self.refused(saved, "truncated or no JSON")

    @pytest.mark.parametrize(
        ("text", "words"),
        [("[1, 2]", "no JSON object"), ("{}", "not a saved model"), ("null", "no JSON object")],
    )
    def test_json_of_something_else(self, saved, text, words):
        (saved / "model.json").write_text(text)
        self.refused(saved, words)

    @pytest.mark.parametrize("version", [1, 2, 4, "3", None, [3]])
    def test_another_format_version(self, saved, version):
        self.change(saved, format=version)
        self.refused(saved, "has model format .*, this version reads 3; fit the model again")

    def test_unknown_model(self, saved):
        self.change(saved, model="lightgbn")
        self.refused(saved, "unknown model 'lightgbn'; did you mean 'lightgbm'")

    def test_unknown_setting(self, saved):
        self.change(saved, params={"depth": 3})
        self.refused(saved, "no setting 'depth'")

    @pytest.mark.parametrize(
        "key",
        ["model", "params", "features", "state", "files", "sources", "target", "low", "lower_is_better"],
    )
    def test_part_left_out_or_of_another_type(self, saved, key):
        content = json.loads((saved / "model.json").read_text())
        (saved / "model.json").write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        self.refused(saved, f"damaged .*{key}")
        self.change(saved, **{key: 3})
        self.refused(saved, f"damaged .*{key}")

    def test_fewer_features_than_columns(self, saved):
        self.change(saved, features=NAMES[:2], low=[0, 0], high=[1, 1])
        self.refused(saved, "2 features for 6 columns")

    def test_missing_text(self, saved):
        (saved / "model.txt").unlink()
        self.refused(saved, "model.txt: missing")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
    def test_truncated_text(self, saved, share):
        data = (saved / "model.txt").read_bytes()
        (saved / "model.txt").write_bytes(data[: int(len(data) * share)])
        self.refused(saved, "model.txt: truncated or changed")

    def test_another_space_than_named(self, saved):
        self.refused(
            saved, "space_settings is .*, not", space=make_space("nats-tss", {"channels": 8, "cells": 1})
        )
        self.refused(saved, "space is 'nats-tss', not 'nats-sss'", space=make_space("nats-sss"))


def test_a_new_model_needs_only_its_methods_and_a_registration(tmp_path, monkeypatch):
    class Mean(FusionModel):
        name = "mean"
        summary = "the mean"
        source = "none"
        uses_pool = False
        target = "accuracy"
        files = ("mean.txt",)

        def _learn(self, features, goal):
            self.mean_ = float(goal.mean())

        def _scores(self, features):
            return np.full(len(features), self.mean_)

        def _state(self):
            return ModelState({}, {"mean.txt": repr(self.mean_)})

        def _restore(self, state, width):
            self.mean_ = float(state.files["mean.txt"])

    monkeypatch.setitem(MODELS._items, "mean", Mean)
    data = labelled(tmp_path / "t")
    fit(data, "mean").save(tmp_path / "m")
    loaded = Predictor.load(tmp_path / "m")
    np.testing.assert_allclose(loaded.predict(data.table), data.y.mean(), rtol=1e-15)
    assert loaded.equation() is None
    assert isinstance(loaded.model, OnIndicators)
    assert isinstance(read_model(tmp_path / "m")[1], Mean)
    assert make_model("mean").indicators is None
