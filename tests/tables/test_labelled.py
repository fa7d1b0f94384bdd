"""A table joined with accuracies: which architectures, in which order, with what beside them."""

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.extraction import extract
from fusion.images import load_images
from fusion.spaces import make_space
from fusion.tables import IndicatorTable, Labelled, Pool, read_accuracies
from fusion.work import Work

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
# three strings of one network, and what else there is
TWINS = [
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
]
ARCHS = [*SPACE.sample(8, 3), *TWINS]
KEYS = list(dict.fromkeys(map(SPACE.canonical, ARCHS)))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled") / "t"
    batch = load_images("digits").batch(4)
    extract(SPACE, ARCHS, ["params", "flops"], images=batch, out=folder, work=Work("cpu", 1, progress=False))
    return IndicatorTable.open(folder)


def accuracies(tmp_path, rows, **more):
    pd.DataFrame(rows, columns=["arch", "accuracy", *more]).to_csv(tmp_path / "a.csv", index=False)
    return read_accuracies(tmp_path / "a.csv", SPACE)


def test_rows_are_the_architectures_of_the_file_each_with_its_networks_values(table, tmp_path):
    data = table.labelled(accuracies(tmp_path, [(arch, i) for i, arch in enumerate(ARCHS)]))
    assert sorted(data.X.index) == sorted(ARCHS)
    for arch in ARCHS:
        expected = table.values().join(table.encoding()).loc[SPACE.canonical(arch)]
        pd.testing.assert_series_equal(data.X.loc[arch], expected, check_names=False)
        assert data.y[arch] == ARCHS.index(arch)
    assert data.networks == len(KEYS)
    assert data.keys[TWINS[0]] == data.keys[TWINS[1]] == TWINS[2]
    assert data.twins[TWINS[0]] == data.twins[TWINS[2]]


def test_the_order_of_the_file_makes_no_difference(table, tmp_path):
    rows = [(arch, i) for i, arch in enumerate(ARCHS)]
    one, other = (table.labelled(accuracies(tmp_path, order)) for order in (rows, rows[::-1]))
    pd.testing.assert_frame_equal(one.X, other.X)
    pd.testing.assert_series_equal(one.y, other.y)


def test_twins_whose_accuracies_differ_by_more_than_seeds_do_are_told(table, tmp_path):
    rows = [(arch, y) for arch in ARCHS for y in (80.0, 80.5, 81.0)]
    assert not any("canonical" in note for note in table.labelled(accuracies(tmp_path, rows)).notes)
    rows = [(arch, y - 30 * (arch == TWINS[1])) for arch, y in rows]
    (told,) = (note for note in table.labelled(accuracies(tmp_path, rows)).notes if "canonical" in note)
    assert "differ by more than seeds do in 1 of 1 networks" in told


def test_what_is_not_in_the_table_is_left_out_and_told(table, tmp_path):
    unknown = [arch for arch in SPACE.sample(60, 0) if SPACE.canonical(arch) not in KEYS][:2]
    data = table.labelled(accuracies(tmp_path, [(arch, 1.0) for arch in [*ARCHS[:3], *unknown]]))
    assert len(data.y) == 3
    assert any(note.startswith("2 architectures with an accuracy are not in") for note in data.notes)
    with pytest.raises(FusionError, match="no architecture in common"):
        table.labelled(accuracies(tmp_path, [(arch, 1.0) for arch in unknown]))


def test_of_a_whole_benchmark_an_architecture_may_have_the_accuracy_of_its_network(table, tmp_path):
    measured = accuracies(tmp_path, [(TWINS[0], 50.0), (TWINS[1], 60.0), (ARCHS[0], 70.0)])
    data = Labelled.join(table, measured, archs=[ARCHS[0], TWINS[0], TWINS[2], ARCHS[1]], target="test")
    assert data.y.to_dict() == {ARCHS[0]: 70.0, TWINS[0]: 50.0, TWINS[2]: 55.0}
    assert data.target == "test"
    assert any("1 of 4 architectures have no accuracy" in note for note in data.notes)


def test_networks_by_key_are_means_over_their_strings(table, tmp_path):
    data = table.labelled(accuracies(tmp_path, [(TWINS[0], 50.0), (TWINS[1], 60.0), (ARCHS[0], 70.0)]))
    assert data.by_key.to_dict() == {TWINS[2]: 55.0, SPACE.canonical(ARCHS[0]): 70.0}


def test_the_pool_is_the_whole_table_and_has_no_length(table, tmp_path):
    data = table.labelled(accuracies(tmp_path, [(ARCHS[0], 1.0), (ARCHS[1], 2.0)]))
    assert isinstance(data.pool, Pool)
    assert sorted(data.pool.table.index) == sorted(KEYS)
    assert not any(hasattr(data.pool, name) for name in ("__len__", "shape", "__array__", "__getitem__"))
    assert list(data.pool.of(["flops"]).table.columns) == ["flops"]


def test_costs_travel_with_the_accuracies(table, tmp_path):
    frame = pd.DataFrame({"arch": ARCHS[:3], "accuracy": [1.0, 2.0, 3.0], "seconds": [7.0, 8.0, np.nan]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = table.labelled(tmp_path / "a.csv")
    assert data.cost[ARCHS[1]] == 8.0
    assert np.isnan(data.cost[ARCHS[2]])
    assert data.directions == {"params": True, "flops": True}


def test_a_table_hands_on_which_architectures_are_meant(table, tmp_path):
    measured = accuracies(tmp_path, [(TWINS[0], 50.0), (ARCHS[0], 70.0)])
    assert list(table.labelled(measured, archs=[TWINS[1]], target="t").y.index) == [TWINS[1]]
    assert table.labelled(measured, archs=[TWINS[1]], target="t").target == "t"
