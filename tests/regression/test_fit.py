"""The verb `fit`, and what is asked for by a specification."""

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.indicators import select
from fusion.regression import MODELS, ModelSpec, Predictor, WeightedSum, fit, fit_groups, make_model
from fusion.regression.groups import SCORE, common_indicators, grouped
from tests.regression.small import SMALL
from tests.tables.small import NAMES, SPACE, accuracies_of, distinct, labelled, table_of, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("fit") / "t")


@pytest.mark.parametrize("name", list(MODELS))
def test_all_accuracies_are_learned_from_and_the_pool_is_the_whole_table(data, name):
    params = SMALL.get(name, {})
    predictor = fit(data, ModelSpec(name, params=params))
    features = predictor.features
    own = make_model(name, **params).fit(data.X[features], data.y, pool=data.table.values(features))
    assert np.array_equal(predictor.predict(data.table), own.predict(data.table.values(features)))
    assert (features == list(data.X.columns)) == (MODELS[name].indicators is None)
    assert predictor.fitted.transformer_.n_reference_ == 60
    assert (predictor.architectures, predictor.networks) == (40, 40)
    assert (predictor.target == "accuracy") == MODELS[name].uses_labels
    assert predictor.spec.params == make_model(name, **params).get_params()


def test_a_name_is_a_specification_of_it(data):
    assert fit(data, "weighted_sum").spec == fit(data, ModelSpec("weighted_sum")).spec
    assert ModelSpec.of("fi") == ModelSpec("fi", None, {})
    assert fit([data], "fi").features == ["cj", "os", "nlr", "cnntk"]  # one of several is one


def test_the_fusion_indicator_is_the_weighted_sum_of_its_four(data):
    expected = fit(data, ModelSpec("weighted_sum", "fi", {"penalty": "none", "target": "accuracy"}))
    found = fit(data, "fi")
    assert found.features == expected.features == ["cj", "os", "nlr", "cnntk"]
    assert np.array_equal(found.predict(data.table), expected.predict(data.table))
    assert found.equation() == expected.equation()
    assert (found.fitted.penalty, found.fitted.target) == ("none", "accuracy")
    # of a table with more, the model itself reads its four too
    assert np.array_equal(
        make_model("fi").fit(data.X, data.y, pool=data.pool).predict(data.X), found.model.predict(data.X)
    )
    with pytest.raises(FusionError, match=r"reads nlr, which the table lacks"):
        make_model("fi").fit(data.X.drop(columns="nlr"), data.y)


def test_networks_are_counted_not_strings(tmp_path):
    values, quality = values_of(distinct(30))
    key = next(k for k in values.index if "none" in k)
    twin = next(arch for arch in SPACE.enumerate() if SPACE.canonical(arch) == key and arch != key)
    measured = pd.concat([quality, pd.Series({twin: quality[key]})])
    predictor = fit(table_of(tmp_path / "t", values).labelled(accuracies_of(measured)), "weighted_sum")
    assert (predictor.architectures, predictor.networks) == (31, 30)
    assert not predictor.notes
    with pytest.raises(FusionError, match=r"2 architectures of 1 network; a model needs at least two"):
        fit(table_of(tmp_path / "u", values).labelled(accuracies_of(measured[[key, twin]])))


class TestTooLittle:
    def test_one_row(self, tmp_path):
        with pytest.raises(FusionError, match=r"own.csv: 1 architectures of 1 network"):
            fit(labelled(tmp_path / "t", measured=1))

    def test_nothing(self):
        with pytest.raises(FusionError, match="at least one table"):
            fit([])

    def test_accuracies_that_are_all_the_same(self, tmp_path):
        values, quality = values_of(distinct(30))
        with pytest.raises(FusionError, match=r"own.csv: all 30 values are 90; there is nothing to learn"):
            fit(table_of(tmp_path / "t", values).labelled(accuracies_of(0 * quality + 90)))

    @pytest.mark.parametrize(("measured", "told"), [(19, True), (20, False)])
    def test_few_are_told(self, tmp_path, measured, told):
        predictor = fit(labelled(tmp_path / "t", measured=measured), "weighted_sum")
        assert bool(predictor.notes) == told
        if told:
            assert predictor.notes == ("learned from 19 networks only; under 20, predictions are rough",)

    @pytest.mark.parametrize("measured", [2, 3])
    def test_auto_has_intervals_even_so(self, tmp_path, measured):
        predictor = fit(labelled(tmp_path / "t", measured=measured), "auto")
        found = predictor.predict(labelled(tmp_path / "u").table, interval=0.9)
        assert (found["low"] <= found["predicted"]).all()
        assert (found["predicted"] <= found["high"]).all()
        assert "accuracy" in predictor.card()


class TestSpec:
    def test_features(self):
        assert ModelSpec("weighted_sum").features(["b", "a"]) == ["b", "a"]
        assert ModelSpec("weighted_sum", "params,cj").features(NAMES) == ["params", "cj"]
        assert ModelSpec("fi").features(NAMES) == ["cj", "os", "nlr", "cnntk"]
        assert ModelSpec("fi", "params").features(NAMES) == ["params"]
        with pytest.raises(FusionError, match="no indicator chosen"):
            ModelSpec("fi", "").features(NAMES)

    def test_what_is_not_extracted_is_one_line(self):
        with pytest.raises(FusionError, match=r"^model 'fi' reads os, nlr, which the table lacks; extract"):
            ModelSpec("fi").make(["cj", "cnntk"])

    def test_unknown_things_are_told_before_any_fit(self):
        with pytest.raises(FusionError, match="did you mean 'lightgbm'"):
            ModelSpec("lightgbn").make(NAMES)
        with pytest.raises(FusionError, match="no setting 'depth'"):
            ModelSpec("weighted_sum", params={"depth": 3}).make(NAMES)
        with pytest.raises(FusionError, match="unknown indicator 'cjj'"):
            ModelSpec("weighted_sum", "cjj").make(NAMES)


class TestSeveral:
    @pytest.fixture(scope="class")
    def datas(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("several")
        return [labelled(folder / "a"), labelled(folder / "b", n=50, measured=30, draw=1)]

    def test_ranks_within_each(self, datas):
        predictor = fit(datas, "weighted_sum")
        groups = grouped(datas)
        features = common_indicators(groups)
        expected = fit_groups(WeightedSum(), groups, features)
        assert np.array_equal(predictor.fitted.coef_, expected.coef_)
        assert predictor.by_group
        assert predictor.target == SCORE
        assert (predictor.architectures, predictor.networks) == (70, 70)
        assert [source.group for source in predictor.sources] == [group.name for group in groups]
        assert fit(datas, "fi").features == ["cj", "os", "nlr", "cnntk"]

    def test_versions_must_be_the_same(self, datas, tmp_path):
        versions = dict.fromkeys(NAMES, 1) | {"os": 7}
        other = labelled(tmp_path / "o", indicator_versions=versions)
        with pytest.raises(FusionError, match="os of different versions"):
            fit([datas[0], other], "weighted_sum")

    def test_few_networks(self, datas, tmp_path):
        with pytest.raises(FusionError, match="9 networks have indicators and an accuracy"):
            fit([datas[0], labelled(tmp_path / "o", measured=9)])
        notes = fit([datas[0], labelled(tmp_path / "p", measured=10)], "weighted_sum").notes
        assert len(notes) == 1
        assert notes[0].endswith("learned from 10 networks only; under 20, predictions are rough")


class TestEncoding:
    def test_what_stands_for_its_columns(self, data):
        columns = list(data.X.columns)
        encoding = [name for name in columns if name.startswith("encoding.")]
        assert ModelSpec("weighted_sum").features(columns) == columns
        assert ModelSpec("weighted_sum", "encoding").features(columns) == encoding
        assert ModelSpec("weighted_sum", "flops,encoding").features(columns) == ["flops", *encoding]
        assert ModelSpec("weighted_sum", "flops").features(columns) == ["flops"]
        every = [*select("structure"), *encoding]
        assert ModelSpec("weighted_sum", "structure").features(every) == every
        assert ModelSpec("fi").features(columns) == ["cj", "os", "nlr", "cnntk"]

    def test_what_can_be_told_before_there_is_any(self):
        ModelSpec("weighted_sum", "encoding").check(NAMES)
        ModelSpec("weighted_sum", "encoding,cj").check(NAMES)
        with pytest.raises(FusionError, match="reads depth, which the table lacks"):
            ModelSpec("weighted_sum", "encoding,depth").check(NAMES)
        with pytest.raises(FusionError, match="model 'lightgbm' reads the encoding alone, and there is none"):
            ModelSpec("lightgbm", " encoding,").features(NAMES)

    def test_several_tables_have_none_in_common(self, data, tmp_path):
        other = labelled(tmp_path / "o", draw=1)
        predictor = fit([data, other], "weighted_sum")
        assert sorted(predictor.features) == sorted(NAMES)
        with pytest.raises(FusionError, match="several tables share no encoding"):
            fit([data, other], ModelSpec("weighted_sum", "encoding"))

    @pytest.mark.parametrize("name", ["weighted_sum", "lightgbm"])
    def test_alone_it_needs_no_images(self, data, name, tmp_path, monkeypatch):
        predictor = fit(data, ModelSpec(name, "encoding", SMALL.get(name, {})))
        predictor.save(tmp_path / "m")
        loaded = Predictor.load(tmp_path / "m")
        expected = predictor.predict(data.table)
        assert loaded.predict(data.table).equals(expected)
        monkeypatch.setattr("fusion.regression.source.extract", None)
        keys = list(expected.index)
        assert np.array_equal(loaded.predict(keys), expected)
        assert f"It reads {len(predictor.features)} numbers of the encoding" in predictor.card()
        assert loaded.outside(data.table.only(list(data.X.index))).max() == 0
        unseen = [key for key in SPACE.sample(200, 5) if SPACE.canonical(key) == key and key not in keys]
        found = loaded.predict(unseen[:5])
        assert np.isfinite(found).all()

    def test_beside_indicators_the_card_counts_it(self, data):
        card = fit(data, "weighted_sum").card()
        names, encoded = ", ".join(data.indicators), len(data.X.columns) - 6
        assert f"It reads 6 indicators: {names}, and {encoded} numbers of the encoding" in card
        assert "encoding." not in card.partition("## What carries it")[0]
        assert "It reads 1 indicators: flops." in fit(data, ModelSpec("weighted_sum", "flops")).card()
