"""Predictions for any architectures: from a table, from passes, or by structure alone."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.regression import ModelSpec, fit
from fusion.regression.answer import answer
from fusion.work import Work
from tests.tables.small import accuracies_of, distinct, labelled

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
QUIET = Work(workers=1, progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("data") / "t")


@pytest.fixture(scope="module")
def predictor(data):
    return fit(data, "weighted_sum")


@pytest.fixture(scope="module")
def structure(data):
    return fit(data, ModelSpec("gaussian_process", "encoding"))


@pytest.fixture(scope="module")
def new(data):
    known = set(data.table.values().index)
    return [key for key in distinct(80, seed=9) if key not in known][:2]


def without_images(predictor):
    (source,) = predictor.sources
    return replace(predictor, sources=(source.model_copy(update={"images": "gone.npz"}),))


def test_what_is_in_the_table_needs_no_computation(data, predictor):
    keys = list(data.table.values().index[:5])
    archs = [*keys, keys[0]]
    found = answer(predictor, archs, table=data.table, interval=0.8)
    assert list(found.columns) == ["predicted", "low", "high", "rank", "source"]
    assert list(found.index) == archs
    expected = predictor.predict(data.table, interval=0.8).loc[archs]
    assert np.array_equal(found[["predicted", "low", "high"]], expected)
    assert set(found["source"]) == {"table"}
    assert found["rank"].min() == 1
    assert found["predicted"].iloc[found["rank"].argmin()] == found["predicted"].max()
    assert found["rank"].iloc[0] == found["rank"].iloc[-1]


def test_the_rest_is_extracted_where_the_images_are_at_hand(data, predictor, structure, new, tmp_path):
    key = data.table.values().index[0]
    found = answer(predictor, [new[0], key], table=data.table, structure=structure, out=tmp_path, work=QUIET)
    assert list(found["source"]) == ["extracted", "table"]
    assert found["predicted"].iloc[0] == predictor.predict([new[0]], work=QUIET).iloc[0]


def test_without_images_by_structure(data, predictor, structure, new):
    blind = without_images(predictor)
    key = data.table.values().index[0]
    found = answer(blind, [*new, key], table=data.table, structure=structure, work=QUIET)
    assert list(found["source"]) == ["structure", "structure", "table"]
    assert np.array_equal(found["predicted"][:2], structure.predict(new))
    with pytest.raises(FusionError, match=r"gone\.npz"):
        answer(blind, new, table=data.table, work=QUIET)
    with pytest.raises(FusionError):  # those that are given must be the model's
        answer(blind, new, table=data.table, structure=structure, images="noise:3x8x8", work=QUIET)


def test_a_model_of_the_structure_says_so(data, structure, new):
    found = answer(structure, [*new, data.table.values().index[0]], table=data.table)
    assert set(found["source"]) == {"structure"}


def test_of_errors_the_lowest_is_first(data):
    errors = accuracies_of(100 - data.y, lower_is_better=True)
    model = fit(data.table.labelled(replace(errors, by_arch=-errors.by_arch)), "weighted_sum")
    found = answer(model, list(data.table.values().index), table=data.table)
    assert found["predicted"].iloc[found["rank"].argmin()] == found["predicted"].min()


def test_refused(data, predictor, tmp_path):
    with pytest.raises(InvalidArchitecture):
        answer(predictor, ["|none~0|"], table=data.table)
    several = fit([labelled(tmp_path / "a"), labelled(tmp_path / "b", n=50, draw=1)], "weighted_sum")
    with pytest.raises(FusionError, match="ranks within a table; give one"):
        answer(several, list(data.table.values().index))
    found = answer(several, list(data.table.values().index[:3]), table=data.table)
    assert set(found["source"]) == {"table"}
