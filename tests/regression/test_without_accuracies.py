"""Predictors of tables without accuracies, and of several tables of which none is learned from."""

import json

import numpy as np
import pandas as pd
import pytest

import fusion
from fusion.errors import FusionError
from fusion.extraction import extract
from fusion.images import load_images
from fusion.indicators import INDICATORS
from fusion.regression import MODELS, ModelSpec, Predictor, fit, make_model
from fusion.regression.within_table import NOT_TRANSFERRED
from fusion.spaces import make_space
from fusion.tables import Pool
from fusion.work import Work
from tests.regression.small import SMALL
from tests.tables.small import IMAGES, NAMES, SPACE, distinct, labelled, table_of, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WITHOUT = [name for name in MODELS if not MODELS[name].needs_labels]
SCORE = "score of auto, by which architectures are ranked"


def spec(name):
    return ModelSpec(name, params=SMALL.get(name, {}))


@pytest.fixture(scope="module")
def datas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without")
    return [labelled(folder / "a"), labelled(folder / "b", n=50, draw=1)]


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The table of another space, made in another way, with fewer indicators."""
    folder = tmp_path_factory.mktemp("other")
    space = make_space("nats-sss")
    return labelled(folder / "t", n=30, of=space, names=["cj", "zen", "params", "flops"], device="cuda").table


class TestOneTable:
    @pytest.mark.parametrize("name", WITHOUT)
    def test_it_is_the_model_on_all_of_the_table(self, datas, name, tmp_path):
        table = datas[0].table
        predictor = fit(table, spec(name))
        values = table.values().join(table.encoding())[predictor.features]
        own = make_model(name, **SMALL.get(name, {})).fit(values, pool=Pool(values)).predict(values)
        found = predictor.predict(table)
        np.testing.assert_allclose(found[values.index], own, rtol=1e-9)
        assert found.name == f"score of {name}, by which architectures are ranked"
        predictor.save(tmp_path)
        loaded = Predictor.load(tmp_path)
        assert loaded.predict(table).equals(found)
        assert loaded.card() == predictor.card()
        assert loaded.remarks(table) == predictor.remarks(table) != []

    def test_accuracies_make_no_difference_but_are_no_part_of_it(self, datas):
        predictor = fit(datas[0].table)
        assert (predictor.spec.model, predictor.target) == ("auto", SCORE)
        assert (predictor.architectures, predictor.networks, predictor.learned_from) == (
            0,
            0,
            "no accuracies",
        )
        (source,) = predictor.sources
        assert (source.target, source.architectures, source.networks) == ("", 0, 0)
        assert not predictor.by_group
        for words in ("- accuracies: none", "from no accuracy, and only ranks", "It predicts no accuracies"):
            assert words in predictor.card()
        assert "Learned from\n\nIndicators alone:" in predictor.card()

    def test_good_ones_are_ranked_first(self, tmp_path):
        values, quality = values_of(distinct(60), names=["zen", "zico", "params", "flops"])
        found = fit(table_of(tmp_path / "t", values)).predict(fusion.load(tmp_path / "t", SPACE))
        assert found.corr(quality, method="spearman") > 0.8

    def test_it_has_no_intervals_and_says_what_has(self, datas):
        with pytest.raises(
            FusionError, match=r"auto ranks and predicts no accuracies; .* fit it on accuracies"
        ):
            fit(datas[0].table).predict(datas[0].table, interval=0.9)
        with pytest.raises(FusionError, match="for intervals fit another model"):
            fit(datas[0].table, "log_rank_sum").predict(datas[0].table, interval=0.9)

    @pytest.mark.parametrize("name", ["weighted_sum", "lightgbm"])
    def test_what_needs_accuracies_is_refused(self, datas, name):
        with pytest.raises(
            FusionError, match=f"model '{name}' learns from accuracies, and the table has none"
        ):
            fit(datas[0].table, name)

    def test_one_network_is_nothing_to_rank(self, datas):
        few = datas[0].table.only(list(datas[0].table.values().index[:1]))
        with pytest.raises(FusionError, match="has one network; there is nothing to rank"):
            fit(few)

    def test_few_are_told(self, datas):
        few = datas[0].table.only(list(datas[0].table.values().index[:12]))
        assert fit(few).notes == ("learned from 12 networks only; under 20, predictions are rough",)
        assert fit(datas[0].table).notes == ()

    def test_strings_are_extracted_as_the_table_was(self, tmp_path):
        work = Work(workers=1, progress=False)
        batch = load_images(IMAGES).batch(8, 0)
        table = extract(SPACE, distinct(25), ["params", "flops"], images=batch, out=tmp_path, work=work)
        predictor = fit(table)
        keys = list(table.values().index[:3])
        assert np.array_equal(predictor.predict(keys, work=work), predictor.predict(table)[keys])

    def test_a_table_made_in_another_way_is_refused(self, datas, tmp_path):
        with pytest.raises(FusionError, match=r"\(device\)"):
            fit(datas[0].table).predict(labelled(tmp_path / "o", device="cuda").table)


class TestSeveral:
    @pytest.mark.parametrize("name", WITHOUT)
    def test_each_table_is_ranked_as_by_a_model_of_its_own(self, datas, other, name, tmp_path):
        predictor = fit(datas, spec(name))
        predictor.save(tmp_path)
        loaded = Predictor.load(tmp_path)
        for table in (datas[0].table, datas[1].table, other):
            alone = fit(table, spec(name)).predict(table)
            assert predictor.predict(table).equals(alone)
            assert loaded.predict(table).equals(alone)
            few = table.only(list(alone.index[:3]))
            np.testing.assert_allclose(loaded.predict(few, pool=table), alone[:3], rtol=1e-9)
        assert loaded.card() == predictor.card()

    def test_no_accuracy_is_learned_from_and_it_says_so(self, datas, other):
        predictor = fit(datas, "consensus")
        assert predictor.by_group
        score = "score of consensus, by which architectures are ranked"
        assert (predictor.target, predictor.learned_from) == (score, "no accuracies")
        assert predictor.notes == (NOT_TRANSFERRED,)
        card = predictor.card()
        for words in (NOT_TRANSFERRED, "It learned from none of them", "- accuracies: none"):
            assert words in card
        assert all(source.group in card for source in predictor.sources)
        assert predictor.remarks(other) == [f"the predictions are no accuracies: each is the {score}"]
        assert predictor.outside(other).tolist() == [0.0] * 30
        assert predictor.equation() is None

    def test_it_has_no_intervals_and_predicts_in_tables_alone(self, datas):
        predictor = fit(datas)
        with pytest.raises(FusionError, match="a model of several tables has no intervals"):
            predictor.predict(datas[0].table, interval=0.9)
        with pytest.raises(FusionError, match="extract one, and predict from it"):
            predictor.predict(distinct(3))

    @pytest.mark.parametrize("name", ["consensus", "auto"])
    def test_a_saved_one_has_learned_lessons_at_most(self, datas, name, tmp_path):
        fit(datas, name).save(tmp_path)
        content = json.loads((tmp_path / "model.json").read_text())
        lessons = content["state"].pop("lessons", [])
        assert (content["state"], content["files"]) == ({}, {})
        assert [lesson["group"] for lesson in lessons] == (
            [] if name == "consensus" else [source["group"] for source in content["sources"]]
        )
        assert {file.name for file in tmp_path.iterdir()} == {"model.json", "card.md"}
        other = {"learned": {}} if lessons else {"lessons": [{}]}
        (tmp_path / "model.json").write_text(json.dumps(content | {"state": other}))
        with pytest.raises(FusionError, match=rf"a {name} of several tables has learned nothing else"):
            Predictor.load(tmp_path)
        (tmp_path / "model.json").write_text(json.dumps(content | {"state": {"lessons": 5}}))
        with pytest.raises(FusionError, match="damaged"):
            Predictor.load(tmp_path)


class TestMixture:
    def test_what_was_mixed_is_told(self, datas):
        predictor = fit(datas[0], spec("auto"))
        (line,) = [note for note in predictor.notes if note.startswith("auto mixed: ")]
        assert line.endswith(" %, by the errors of left-out architectures")
        assert f"- {line}" in predictor.card()
        shares = predictor.fitted.shares_
        percents = [round(100 * share / sum(shares.values())) for share in shares.values()]
        assert [int(word) for word in line.split() if word.isdigit()] == sorted(percents, reverse=True)

    def test_of_too_few_to_leave_one_out(self, tmp_path):
        notes = fit(labelled(tmp_path / "t", measured=3), spec("auto")).notes
        assert notes[-1].endswith(", as is expected of so few")

    def test_twins_are_left_out_together(self, datas, monkeypatch):
        seen = []
        original = MODELS["auto"].fit

        def watched(self, X, y=None, pool=None, groups=None):
            seen.append(groups)
            return original(self, X, y, pool, groups)

        monkeypatch.setattr(MODELS["auto"], "fit", watched)
        fit(datas[0], spec("auto"))
        assert len(seen) == 1
        assert pd.Series(seen[0]).tolist() == datas[0].twins.tolist()


def test_columns_of_a_table_are_read_whatever_their_version(datas, tmp_path):
    versions = {name: INDICATORS[name].version for name in NAMES} | {"cj": 99}
    newer = labelled(tmp_path / "n", indicator_versions=versions).table
    assert fit(datas).predict(newer).equals(fit(newer).predict(newer))
