import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from fusion.errors import FusionError
from fusion.regression import (
    FORMAT,
    MODELS,
    FusionModel,
    ModelState,
    WeightedSum,
    load_model,
    make_model,
    save_model,
)

VARIANTS = [
    *(("weighted_sum", {"transformation": kind}) for kind in ("quantile", "signed_log", "standard", "none")),
    ("lightgbm", {"n_estimators": 15, "n_members": 2}),
]
NAMES = ["cj", "os", "nlr", "cnntk"]


def wide_table(seed, rows):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 4)) * 10.0 ** rng.integers(-30, 31, (rows, 4))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[rng.random(values.shape) < 0.03] = np.inf
    return pd.DataFrame(values, columns=NAMES, index=[f"arch{i}" for i in range(rows)])


@pytest.fixture
def saved(tmp_path):
    """A LightGBM model on disk."""
    table = wide_table(0, 30)
    model = make_model("lightgbm", n_estimators=5, n_members=2).fit(table, np.arange(30.0))
    save_model(tmp_path / "m", model, features=NAMES, metadata={"split": 3})
    return tmp_path / "m"


@pytest.mark.parametrize(("name", "params"), VARIANTS)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(8, 60), with_pool=st.booleans())
def test_loaded_predictions_are_equal_to_the_last_bit(tmp_path_factory, name, params, seed, rows, with_pool):
    table = wide_table(seed, 80)
    y = np.random.default_rng(seed).normal(80, 7, rows)
    model = make_model(name, **params).fit(table[:rows], y, pool=table if with_pool else None)
    folder = tmp_path_factory.mktemp("model") / "deep" / "er"
    save_model(folder, model, features=NAMES, metadata={})
    loaded = load_model(folder)
    assert np.array_equal(loaded.predict(table), model.predict(table))
    assert loaded.model.reference_ == ("pool" if with_pool else "training")
    # what was loaded can be saved again, and is the same files
    save_model(folder / "again", loaded.model, features=NAMES, metadata={})
    for file in ("model.json", *(["model.txt"] if name == "lightgbm" else [])):
        assert (folder / "again" / file).read_bytes() == (folder / file).read_bytes()


def test_everything_around_the_model_is_kept(tmp_path):
    table = wide_table(1, 20)
    model = WeightedSum("standard").fit(table, np.arange(20.0))
    metadata = {"protocol": {"train": 20, "ids": [1, 2]}, "note": "naïve", "none": None}
    save_model(tmp_path, model, features=NAMES, metadata=metadata)
    loaded = load_model(tmp_path)
    assert (loaded.name, loaded.features, loaded.metadata) == ("weighted_sum", NAMES, metadata)
    assert loaded.model.get_params() == model.get_params()
    assert loaded.model.equation() == model.equation()
    assert list(loaded.model.feature_names_in_) == NAMES
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json"]
    assert json.loads((tmp_path / "model.json").read_text())["format"] == FORMAT == 1


def test_columns_are_chosen_by_name(saved):
    table = wide_table(2, 9)
    model = load_model(saved)
    expected = model.predict(table)
    shuffled = table[["nlr", "cnntk", "os", "cj"]].assign(extra="text")
    assert np.array_equal(model.predict(shuffled), expected)
    with pytest.raises(FusionError, match="lacks indicators that the model reads: cj, cnntk; extract"):
        model.predict(table[["os", "nlr"]])
    with pytest.raises(FusionError, match="columns of one name: os;"):
        model.predict(pd.concat([table, table[["os"]]], axis=1))


def test_a_model_fitted_on_an_array_reads_a_table(tmp_path, recwarn):
    table = wide_table(3, 20)
    model = WeightedSum().fit(table.to_numpy(), np.arange(20.0))
    save_model(tmp_path, model, features=NAMES, metadata={})
    assert np.array_equal(load_model(tmp_path).predict(table), model.predict(table.to_numpy()))
    assert not recwarn.list


def test_settings_chosen_as_numpy_numbers_can_be_saved(tmp_path):
    model = make_model("lightgbm", n_estimators=np.int64(3), learning_rate=np.float64(0.3), n_members=1)
    model.fit(wide_table(0, 20), np.arange(20.0))
    save_model(tmp_path, model, features=NAMES, metadata={})
    assert load_model(tmp_path).model.n_estimators == 3


class TestRefusedToSave:
    def fitted(self):
        return WeightedSum().fit(wide_table(0, 20), np.arange(20.0))

    @pytest.mark.parametrize("features", [NAMES[:3], NAMES[::-1], [*NAMES, "x"]])
    def test_features_of_another_table(self, tmp_path, features):
        with pytest.raises(FusionError, match="was fitted on 4 indicators"):
            save_model(tmp_path, self.fitted(), features=features, metadata={})

    @pytest.mark.parametrize("metadata", [{"tau": float("nan")}, {"when": object()}])
    def test_metadata_that_is_no_json(self, tmp_path, metadata):
        with pytest.raises(FusionError, match="use JSON values"):
            save_model(tmp_path, self.fitted(), features=NAMES, metadata=metadata)
        assert not list(tmp_path.iterdir())

    def test_random_state_object(self, tmp_path):
        model = make_model("lightgbm", random_state=np.random.RandomState(0), n_estimators=2)
        model.fit(wide_table(0, 20), np.arange(20.0))
        with pytest.raises(FusionError, match="RandomState"):
            save_model(tmp_path, model, features=NAMES, metadata={})

    def test_unfitted(self, tmp_path):
        with pytest.raises(NotFittedError):
            save_model(tmp_path, WeightedSum(), features=NAMES, metadata={})

    def test_unregistered_class(self, tmp_path):
        class Other(WeightedSum):
            pass

        model = Other().fit(wide_table(0, 20), np.arange(20.0))
        with pytest.raises(FusionError, match="Other cannot be saved: register it"):
            save_model(tmp_path, model, features=NAMES, metadata={})

    def test_directory_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(FusionError, match="cannot be made"):
            save_model(tmp_path / "file", self.fitted(), features=NAMES, metadata={})


class TestRefusedToLoad:
    def refused(self, directory, words):
        with pytest.raises(FusionError, match=words) as caught:
            load_model(directory)
        assert "\n" not in str(caught.value)
        assert str(directory) in str(caught.value)

    def change(self, saved, **changes):
        content = json.loads((saved / "model.json").read_text())
        (saved / "model.json").write_text(json.dumps({**content, **changes}))

    def test_missing_directory(self, tmp_path):
        self.refused(tmp_path / "nowhere", "no such directory")

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

    @pytest.mark.parametrize("text", ["[1, 2]", "{}", "null"])
    def test_json_of_something_else(self, saved, text):
        (saved / "model.json").write_text(text)
        self.refused(saved, "not a saved model")

    def test_another_format_version(self, saved):
        self.change(saved, format=2)
        self.refused(saved, "has model format 2, this version reads 1; fit it again")

    def test_unknown_model(self, saved):
        self.change(saved, model="lightgbn")
        self.refused(saved, "unknown model 'lightgbn'; did you mean 'lightgbm'")

    def test_unknown_setting(self, saved):
        self.change(saved, params={"depth": 3})
        self.refused(saved, "no setting 'depth'")

    @pytest.mark.parametrize("key", ["model", "params", "features", "state", "files", "metadata"])
    def test_part_left_out_or_of_another_type(self, saved, key):
        content = json.loads((saved / "model.json").read_text())
        (saved / "model.json").write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        self.refused(saved, f"damaged .*{key}.* is missing")
        if key != "metadata":
            self.change(saved, **{key: 3})
            self.refused(saved, "damaged|unknown")

    def test_fewer_features_than_columns(self, saved):
        self.change(saved, features=NAMES[:2])
        self.refused(saved, "2 features for 4 columns")

    def test_missing_text(self, saved):
        (saved / "model.txt").unlink()
        self.refused(saved, "model.txt: missing")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
    def test_truncated_text(self, saved, share):
        data = (saved / "model.txt").read_bytes()
        (saved / "model.txt").write_bytes(data[: int(len(data) * share)])
        self.refused(saved, "model.txt: truncated or changed")


def test_a_new_model_needs_only_its_methods_and_a_registration(tmp_path, monkeypatch):
    class Mean(FusionModel):
        uses_pool = False

        def fit(self, X, y, pool=None):
            self._check_training(X, y, rows=1)
            self.mean_ = float(np.mean(y))
            return self

        def predict(self, X):
            return np.full(len(self._check_table(X)), self.mean_)

        def to_state(self):
            return ModelState({"columns": self.n_features_in_}, {"mean.txt": repr(self.mean_)})

        def restore(self, state):
            self.mean_ = float(state.files["mean.txt"])
            self.n_features_in_ = state.values["columns"]

    monkeypatch.setitem(MODELS._items, "mean", Mean)
    table = wide_table(0, 20)
    save_model(tmp_path, Mean().fit(table, np.arange(20.0)), features=NAMES, metadata={})
    loaded = load_model(tmp_path)
    assert (loaded.predict(table) == 9.5).all()
    assert dataclasses.is_dataclass(loaded)
