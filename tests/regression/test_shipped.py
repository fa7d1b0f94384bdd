"""The fitted models that come with the package: named, whole, and made as their cards say."""

import sys

import numpy as np
import pytest

import fusion
from fusion.regression import Predictor
from fusion.regression.shipped import shipped_models, shipped_table, structure_of
from fusion.storage.bundled import bundled, find_model

NAMES = sorted(shipped_models())


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_by_name_and_says_how_far_to_trust_it(name):
    model = fusion.load(name)
    assert isinstance(model, Predictor)
    card = (find_model(name) / "card.md").read_text(encoding="utf-8")
    if name == "zero":
        assert model.by_group
        assert not model.fitted.needs_labels
        assert "where a table's indicators hang together as theirs do" in card
        return
    assert model.space is not None
    if name != "digits-tss":
        assert "## How far to trust it" in card
        assert "python benches/ship_models.py --data DIR" in card
    if name.endswith("-structure"):
        assert all(feature.startswith("encoding.") for feature in model.features)
    elif name != "digits-tss":
        assert all(feature.startswith("encoding.") for feature in structure_of(find_model(name)).features)


def test_the_page_names_them_all():
    page = (bundled("models") / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in NAMES if not name.endswith("-structure"))


def test_each_finds_the_table_that_it_was_fitted_on():
    table = shipped_table(fusion.load("darts-cifar10"))
    assert table.path == bundled("data/darts-cifar10/indicators")
    assert shipped_table(fusion.load("nds-enas-imagenet")).path == bundled("data/nds/enas")
    assert shipped_table(fusion.load("digits-tss")) is None
    assert shipped_table(fusion.load("zero")) is None


def test_zero_ranks_any_table():
    table = fusion.load("data/nds/pnas")
    with pytest.warns(
        UserWarning, match=r"learned from the spaces that are like this one .*nds-pnas \(1\.00\)"
    ):
        assert len(fusion.load("zero").predict(table)) == 119


def test_a_model_that_is_fitted_again_as_its_card_says_predicts_the_same(shared_data, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(bundled("models").parent / "benches")])
    import ship_models

    name = "nds-resnext-a-imagenet"
    one = ship_models.SHIPPED[name]
    table = fusion.load(one.table)
    accuracies = ship_models.measured(table, one.read(shared_data))
    again = ship_models.fitted(table, accuracies, one.target, one.spec("-structure"))
    shipped = fusion.load(f"{name}-structure")
    np.testing.assert_allclose(again.predict(table), shipped.predict(table), atol=0.05)
