"""The noun `Predictor`: what it predicts from, what it refuses, what it says."""

import warnings

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction import extract
from fusion.images import load_images
from fusion.indicators import INDICATORS
from fusion.regression import Predictor, fit
from fusion.regression.groups import SCORE, within_group
from fusion.spaces import make_space
from fusion.work import Work
from tests.tables.small import (
    IMAGES,
    NAMES,
    SPACE,
    accuracies_of,
    distinct,
    labelled,
    table_of,
    values_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
QUIET = Work(workers=1, progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("data") / "t")


@pytest.fixture(scope="module")
def predictor(data):
    return fit(data, "weighted_sum")


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return fit([labelled(folder / "a"), labelled(folder / "b", n=50, draw=1)], "weighted_sum")


class TestTable:
    def test_all_of_it_by_key(self, data, predictor):
        found = predictor.predict(data.table)
        assert list(found.index) == list(data.table.values().index)
        assert (found.name, found.index.name) == ("accuracy", "key")
        assert np.array_equal(found, predictor.model.predict(data.table.values(predictor.features)))

    def test_part_of_it(self, data, predictor):
        keys = list(data.table.values().index[:3])
        assert predictor.predict(data.table.only(keys)).equals(predictor.predict(data.table)[keys])

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"device": "cuda"}, "device"),
            ({"seed": 1}, "seed"),
            ({"batch_digest": "0" * 64}, "batch_digest"),
            ({"of": make_space("nats-tss", {"channels": 8, "cells": 1})}, "space_settings"),
            ({"of": make_space("nats-sss")}, "space, space_settings"),
            ({"indicator_versions": {"cj": 99, **dict.fromkeys(NAMES[1:], 1)}}, "version of cj"),
        ],
    )
    def test_made_in_another_way_is_refused(self, tmp_path, predictor, change, named):
        other = labelled(tmp_path / "o", **change).table
        with pytest.raises(FusionError, match=rf"other settings than the model's table \({named}\)"):
            predictor.predict(other)

    def test_a_pool_made_in_another_way_is_refused(self, tmp_path, data, predictor):
        with pytest.raises(FusionError, match=r"\(device\)"):
            predictor.predict(data.table, pool=labelled(tmp_path / "o", device="cuda").table)

    def test_versions_of_what_it_does_not_read_do_not_matter(self, tmp_path, data):
        versions = {name: INDICATORS[name].version for name in NAMES} | {"flops": 99}
        other = labelled(tmp_path / "o", indicator_versions=versions).table
        assert len(fit(data, "fi").predict(other)) == 60

    def test_lacking_indicators(self, tmp_path, predictor):
        with pytest.raises(FusionError, match="has no indicator os, flops"):
            predictor.predict(labelled(tmp_path / "o", names=["cj", "nlr", "cnntk", "params"]).table)


class TestSense:
    def test_errors_are_predicted_as_errors(self, tmp_path):
        values, quality = values_of(distinct(60))
        table = table_of(tmp_path / "t", values)
        up = fit(table.labelled(accuracies_of(80 + 5 * quality)), "weighted_sum")
        down = fit(table.labelled(accuracies_of(-(20 - 5 * quality), lower_is_better=True)), "weighted_sum")
        assert down.lower_is_better
        errors = down.predict(table)
        np.testing.assert_allclose(errors, 100 - up.predict(table))
        assert errors.corr(quality) < -0.8
        down.save(tmp_path / "m")
        assert Predictor.load(tmp_path / "m").predict(table).equals(errors)


STRUCTURE = ["params", "flops", "depth"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table that was extracted, and a model that learned from it."""
    out = tmp_path_factory.mktemp("made") / "t"
    batch = load_images(IMAGES).batch(8, 0)
    table = extract(SPACE, distinct(25), STRUCTURE, images=batch, out=out, work=QUIET)
    accuracy = pd.Series(np.arange(25.0), table.values().index)
    return table, fit(table.labelled(accuracies_of(accuracy)), "weighted_sum")


class TestArchitectures:
    def predict(self, made, archs, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return made[1].predict(archs, **{"work": QUIET, **options})

    def test_extracted_as_the_model_was(self, made, tmp_path):
        table, predictor = made
        keys = list(table.values().index[:4])
        archs = [keys[2], keys[0], keys[2]]
        found = self.predict(made, archs, out=tmp_path / "kept")
        assert list(found.index) == archs
        assert found.index.name == "arch"
        assert np.array_equal(found, predictor.predict(table)[archs])
        assert (tmp_path / "kept" / "meta.json").exists()
        assert self.predict(made, keys[0]).equals(found[[keys[0]]])  # one, and nothing is kept

    def test_no_architecture(self, made):
        with pytest.raises(InvalidArchitecture):
            self.predict(made, ["nonsense"])

    def test_other_images(self, made):
        with pytest.raises(FusionError, match=r"images noise:1x9x9: not those .* \(noise:1x8x8\)"):
            self.predict(made, distinct(1), images="noise:1x9x9")
        assert len(self.predict(made, distinct(1), images=load_images(IMAGES))) == 1
        assert len(self.predict(made, distinct(1), images=load_images(IMAGES).batch(8, 0))) == 1

    def test_images_that_nobody_named(self, tmp_path):
        predictor = fit(labelled(tmp_path / "t", provenance={"images": ""}), "weighted_sum")
        with pytest.raises(FusionError, match="does not say from which images"):
            predictor.predict(distinct(1), work=QUIET)

    def test_another_device(self, tmp_path):
        predictor = fit(labelled(tmp_path / "t", device="cuda"), "weighted_sum")
        with pytest.raises(FusionError, match="computed on cuda, not on cpu"):
            predictor.predict(distinct(1), work=Work("cpu", 1, False))

    def test_auto_is_the_models_device(self, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setattr("fusion.work.devices.pick_device", lambda name: seen.append(name) or "cpu")
        predictor = fit(labelled(tmp_path / "t", device="cuda", names=STRUCTURE), "weighted_sum")
        predictor.predict(distinct(1), work=QUIET)
        assert set(seen) == {"cuda"}

    def test_another_version(self, tmp_path):
        versions = {"params": 99, "flops": 1, "depth": 1}
        data = labelled(tmp_path / "t", names=STRUCTURE, indicator_versions=versions)
        with pytest.raises(FusionError, match=r"\(version of params\)"):
            fit(data, "weighted_sum").predict(distinct(1), work=QUIET)


class TestSeveral:
    def test_within_the_table(self, data, several):
        values = data.table.values()
        with pytest.warns(UserWarning, match=f"no accuracies: each is the {SCORE[:20]}"):
            found = several.predict(data.table)
        expected = several.fitted.predict(within_group(values, values))
        assert np.array_equal(found, expected)
        assert found.name == SCORE

    def test_the_model_alone_cannot_rank_upside_down(self, data, several):
        values = data.table.values()
        # good networks have high values, whatever their unit: raw values would be beyond all ranks
        found = several.model.predict(1e6 * values - 1e9)
        assert np.array_equal(found, several.model.predict(values))
        assert pd.Series(found, values.index)[data.y.index].corr(data.y) > 0.8

    @pytest.mark.filterwarnings("ignore")
    def test_a_pool_to_rank_among(self, data, several):
        whole = several.predict(data.table)
        few = data.table.only(list(whole.index[:4]))
        assert several.predict(few, pool=data.table).equals(whole[:4])
        with pytest.raises(FusionError, match="4 are too few, give at least 10"):
            several.predict(few)
        with pytest.raises(FusionError, match="4 are too few"):
            several.model.predict(few.values())

    @pytest.mark.filterwarnings("ignore")
    def test_other_settings_do_not_matter_but_versions_do(self, tmp_path, several):
        assert len(several.predict(labelled(tmp_path / "o", device="cuda", seed=3).table)) == 60
        versions = {"cj": 99, **dict.fromkeys(NAMES[1:], 1)}
        with pytest.raises(FusionError, match="version of cj"):
            several.predict(labelled(tmp_path / "p", indicator_versions=versions).table)

    def test_strings_have_no_table_to_rank_in(self, several):
        with pytest.raises(FusionError, match="extract one, and predict from it"):
            several.predict(distinct(3))


class TestTold:
    def test_nothing_where_there_is_nothing_to_say(self, data, predictor):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            predictor.predict(data.table.only(list(data.X.index)))

    @pytest.mark.parametrize("kind", ["predictor", "several"])
    def test_columns_that_are_empty(self, tmp_path, kind, request):
        predictor = request.getfixturevalue(kind)
        values, _ = values_of(distinct(60))
        table = table_of(tmp_path / "t", values.assign(cj=np.nan, flops=np.nan))
        line = (
            "2 of the 6 indicators that the model learned from have no value for any architecture (cj, flops)"
        )
        assert [told for told in predictor.remarks(table) if line in told]
        with pytest.warns(UserWarning, match="2 of the 6 indicators"):
            predictor.predict(table)

    def test_what_was_empty_before_is_not_told(self, tmp_path):
        values, quality = values_of(distinct(60))
        table = table_of(tmp_path / "t", values.assign(cj=np.nan))
        assert fit(table.labelled(accuracies_of(quality)), "weighted_sum").remarks(table) == []

    def test_outside_is_the_share_beyond_the_training_range(self, tmp_path, data, predictor):
        values, _ = values_of(distinct(60))
        inside = data.X[NAMES].min() * 0.5 + data.X[NAMES].max() * 0.5
        values[:] = inside.to_numpy()
        values.iloc[0, :3] = 1e9
        values.iloc[1, :3] = [-1e9, np.nan, 1e9]
        table = table_of(tmp_path / "t", values)
        found = predictor.outside(table)
        assert found[values.index[:3]].tolist() == [3 / 6, 2 / 5, 0]
        assert found.drop(values.index[:2]).max() == 0
        with pytest.warns(UserWarning, match="2 of 60 architectures lie outside what was learned"):
            predictor.predict(table)

    def test_training_architectures_are_inside(self, data, predictor, several):
        assert predictor.outside(data.table.only(list(data.X.index))).max() == 0
        assert several.outside(data.table).max() == 0

    def test_scores_that_are_off_centre(self, data, several, monkeypatch):
        monkeypatch.setattr(type(several.fitted), "predict", lambda self, X: np.full(len(X), -1.0))
        with pytest.warns(UserWarning, match="scores average -1.0 where 0 is expected"):
            several.predict(data.table)


class TestCard:
    def test_what_how_and_limits(self, predictor):
        card = predictor.card()
        for words in (
            "# weighted_sum: accuracy", "`penalty`: loo", "40 architectures, 40 different networks",
            "nats-tss cells=1, channels=4", IMAGES, "seed 0, on cpu", "higher is better", "| cj |",
        ):  # fmt: skip
            assert words in card

    def test_several(self, several):
        assert "predicts no accuracies" in several.card()
        assert all(source.group in several.card() for source in several.sources)

    def test_equation(self, data, predictor):
        assert predictor.equation() == predictor.fitted.equation()
        assert fit(data, "fi").equation().startswith("accuracy = ")
        assert fit(data).equation() is None
