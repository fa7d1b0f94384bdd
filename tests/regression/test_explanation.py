"""What carries a prediction of a fitted model, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from fusion.errors import FusionError
from fusion.regression import MODELS, ModelSpec, Predictor, fit
from fusion.regression.explaining import (
    BACKGROUND,
    MOST_ROWS,
    REFITS,
)
from tests.regression.small import SMALL
from tests.tables.small import NAMES, SPACE, accuracies_of, distinct, labelled, table_of, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# without the encoding, whose many groups take their time
FEW = ModelSpec("weighted_sum", ",".join(NAMES))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("data") / "t")


@pytest.fixture(scope="module")
def part(data):
    """The first half of the accuracies."""
    return data.table.labelled(accuracies_of(data.y[:20]))


@pytest.fixture(scope="module")
def predictor(part):
    return fit(part, FEW)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_is_explained(name, data, part):
    predictor = fit(part, ModelSpec(name, FEW.indicators, SMALL.get(name, {})))
    arch = data.X.index[25]
    found = predictor.explain(data, arch)
    predicted = predictor.predict(data.table)
    why = found.reasons
    assert why.predicted == pytest.approx(predicted[SPACE.canonical(arch)])
    assert why.against == len(predicted) < BACKGROUND  # so that it is held against all
    assert why.expected == pytest.approx(predicted.mean())
    assert sum(one.added for one in why.contributions) == pytest.approx(why.predicted - why.expected)
    assert {one.title for one in why.contributions} == {one.title for one in found.importances}
    assert found.importances[0].fall > 0.02
    assert found.target == predictor.target
    assert bool(found.weights) == bool(predictor.model.weights())
    assert found.rows == "held out"
    assert found.networks == (20 if MODELS[name].uses_labels else 40)
    assert predictor.explain(data, arch) == found
    assert json.loads(json.dumps(found.to_json()))["model"] == name
    lines = found.lines()
    assert all(len(line) < 140 for line in lines if arch not in line)
    assert sum(line.endswith(found.importances[0].title) for line in lines) >= 1


class TestRows:
    def test_what_it_did_not_learn_from(self, data, predictor, part):
        found = predictor.explain(data)
        held_out = data.y[~data.y.index.isin(part.y.index)]
        predicted = predictor.predict(data.table)[[SPACE.canonical(arch) for arch in held_out.index]]
        assert (found.rows, found.networks) == ("held out", 20)
        assert found.srocc == pytest.approx(spearmanr(held_out, predicted).statistic)
        assert found.reasons is None
        assert "20 networks that it did not learn from" in found.lines()[0]

    def test_under_ten_of_them_say_too_little(self, data, predictor):
        found = predictor.explain(data.table.labelled(accuracies_of(data.y[:29])))
        assert (found.rows, found.networks) == ("training", 29)
        assert "learned from, which flatters it" in found.lines()[0]

    def test_without_accuracies_its_own_predictions(self, data, predictor):
        found = predictor.explain(data.table)
        assert (found.rows, found.networks, found.srocc) == ("predictions", 60, pytest.approx(1))
        assert "its own predictions" in found.lines()[0]

    def test_a_saved_model_knows_and_one_saved_before_does_not(self, tmp_path, data, predictor):
        predictor.save(tmp_path)
        assert Predictor.load(tmp_path).explain(data) == predictor.explain(data)
        content = json.loads((tmp_path / "model.json").read_text())
        del content["sources"][0]["seen"]
        (tmp_path / "model.json").write_text(json.dumps(content))
        found = Predictor.load(tmp_path).explain(data)
        assert (found.rows, found.networks, found.refits) == ("unknown", 40, 0)
        assert "is not known" in found.lines()[0]

    def test_another_string_of_a_network_is_no_other_network(self, data, part, predictor):
        strings: dict = {}
        for arch in SPACE.enumerate():
            strings.setdefault(SPACE.canonical(arch), arch)
        renamed = data.y.rename(index=lambda arch: strings[SPACE.canonical(arch)])
        assert (renamed.index != data.y.index).sum() > 5
        found = predictor.explain(data.table.labelled(accuracies_of(renamed)))
        assert found.importances == predictor.explain(data).importances

    def test_the_encoding_is_explained_too(self, data, part):
        found = fit(part, "weighted_sum").explain(data)
        encoded = [one for one in found.importances if one.title == "encoding.edge.0-1"]
        assert [name.partition("=")[0] for name in encoded[0].columns] == ["encoding.edge.0-1"] * 5
        assert f"and {len(found.importances) - 10} other groups" in "\n".join(found.lines())

    def test_many_networks_are_sampled(self, tmp_path):
        big = labelled(tmp_path / "t", n=MOST_ROWS + 20, measured=15)
        assert fit(big, FEW).explain(big.table).networks == MOST_ROWS

    def test_no_order_matters(self, tmp_path, data):
        values, quality = values_of(distinct(60))
        shuffled = values.sample(frac=1, random_state=0)[values.columns[::-1]]
        accuracy = (80 + 5 * quality)[:40]
        found = [
            fit(table.labelled(accuracies_of(order)), ModelSpec("gaussian_process", FEW.indicators)).explain(
                table, values.index[3]
            )
            for table, order in (
                (table_of(tmp_path / "a", values), accuracy),
                (table_of(tmp_path / "b", shuffled), accuracy[::-1]),
            )
        ]
        assert [one.columns for one in found[0].importances] == [one.columns for one in found[1].importances]
        for a, b in zip(found[0].importances, found[1].importances, strict=True):
            assert (a.fall, a.spread) == pytest.approx((b.fall, b.spread))
        added = [{one.title: one.added for one in each.reasons.contributions} for each in found]
        assert added[0] == pytest.approx(added[1])


class TestSense:
    def test_errors_are_explained_as_errors(self, tmp_path):
        values, quality = values_of(distinct(60))
        table = table_of(tmp_path / "t", values)
        up = fit(table.labelled(accuracies_of(80 + 5 * quality)), FEW)
        measured = table.labelled(accuracies_of(-(20 - 5 * quality), lower_is_better=True))
        down = fit(measured, FEW)
        arch = values.index[0]
        plus, minus = up.explain(table, arch), down.explain(measured, arch)
        assert minus.srocc > 0.8
        assert minus.reasons.predicted == pytest.approx(100 - plus.reasons.predicted)
        added = {one.title: -one.added for one in minus.reasons.contributions}
        assert {one.title: one.added for one in plus.reasons.contributions} == pytest.approx(added)


class TestWeights:
    def test_their_spread_is_that_of_refits_on_drawn_networks(self, part, predictor):
        found = predictor.explain(part)
        assert found.refits == REFITS
        assert {one.feature: one.weight for one in found.weights} == predictor.model.weights()
        assert all(one.low <= one.mean <= one.high for one in found.weights)
        assert any(one.low < one.high for one in found.weights)
        sizes = [abs(one.weight) for one in found.weights]
        assert sizes == sorted(sizes, reverse=True)
        assert f"of {REFITS} bootstrap refits" in "\n".join(found.lines())

    def test_what_decides_is_told_from_noise(self, tmp_path):
        values, _ = values_of(distinct(60), names=["cj", "os", "nlr"])
        values["nlr"] = np.random.default_rng(9).normal(size=60)
        values["cj"] = np.random.default_rng(8).normal(size=60)
        table = table_of(tmp_path / "t", values)
        accuracy = values["cj"] + 0.2 * np.random.default_rng(7).normal(size=60)
        measured = table.labelled(accuracies_of(accuracy))
        found = {
            one.feature: one
            for one in fit(measured, ModelSpec("weighted_sum", "cj,nlr")).explain(measured).weights
        }
        assert found["cj"].low > 0.5
        assert found["nlr"].low < 0 < found["nlr"].high

    def test_without_the_accuracies_that_it_learned_from_there_is_none(self, data, predictor):
        rest = data.table.labelled(accuracies_of(data.y[20:]))
        for what in (data.table, rest):
            found = predictor.explain(what)
            assert found.refits == 0
            assert {one.mean for one in found.weights} == {None}
            assert "without spread" in "\n".join(found.lines())

    def test_what_learns_from_the_table_alone_is_fitted_again_on_it(self, data, part):
        found = fit(part, "consensus").explain(data.table)
        assert found.refits == REFITS
        assert all(0 <= one.low <= one.mean <= one.high for one in found.weights)
        assert any(one.high > 0 for one in found.weights)


class TestRefused:
    def test_a_model_of_several_tables(self, tmp_path, data):
        several = fit([data, labelled(tmp_path / "b", n=50, draw=1)], "weighted_sum")
        with pytest.raises(FusionError, match="several tables is not explained"):
            several.explain(data)

    def test_an_architecture_that_the_table_lacks(self, data, predictor):
        lacking = next(arch for arch in distinct(200) if arch not in data.table.values().index)
        with pytest.raises(FusionError, match=r"lacks .*; name an architecture of the table"):
            predictor.explain(data, lacking)

    def test_a_table_made_in_another_way(self, tmp_path, predictor):
        with pytest.raises(FusionError, match=r"\(device\)"):
            predictor.explain(labelled(tmp_path / "o", device="cuda"))

    def test_too_few(self, data, predictor):
        few = data.table.only(list(data.table.values().index[:9]))
        with pytest.raises(FusionError, match="9 networks are too few"):
            predictor.explain(few)
        with pytest.raises(FusionError, match="5 networks are too few"):
            predictor.explain(data.table.labelled(accuracies_of(data.y[:5])))

    def test_a_network_that_is_no_hash(self, predictor):
        with pytest.raises(ValueError, match="seen"):
            replace(predictor).sources[0].model_validate(
                {**predictor.sources[0].model_dump(), "seen": ["../x"]}
            )
