"""Costs by architecture: read from tables, joined with accuracies, never learned from."""

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction import extract
from fusion.images import load_images
from fusion.regression import fit
from fusion.spaces import make_space
from fusion.tables import IndicatorTable, read_costs
from fusion.work import Work

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
ARCHS = SPACE.sample(12, 3)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("costs") / "t"
    batch = load_images("digits").batch(4)
    extract(SPACE, ARCHS, ["cost", "swap"], images=batch, out=folder, work=Work("cpu", 2, progress=False))
    return IndicatorTable.open(folder)


@pytest.fixture
def accuracies(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"arch": ARCHS, "accuracy": np.arange(12.0)}).to_csv(path, index=False)
    return path


def write(tmp_path, text):
    (tmp_path / "c.csv").write_text(text)
    return tmp_path / "c.csv"


def test_what_running_costs_is_seen_apart_from_what_is_learned_from(table, accuracies):
    assert "latency" not in table.values()
    assert list(table.costs().columns) == ["params", "flops", "latency", "peak_memory", "energy"]
    assert (table.values(["latency"])["latency"] > 0).all()
    data = table.labelled(accuracies)
    assert not {"latency", "peak_memory", "energy"} & {*data.X.columns, *data.pool.table.columns}
    assert list(data.costs.index) == list(data.X.index)
    arch = data.X.index[5]
    assert data.costs.loc[arch, "latency"] == table.costs().loc[SPACE.canonical(arch), "latency"]
    assert fit(data, "weighted_sum").predict(ARCHS[:3]).shape == (3,)


def test_costs_of_a_file_join_by_network_and_count_before_those_of_the_table(table, accuracies, tmp_path):
    rows = [f"{arch};{i},5;{10 * i}" for i, arch in enumerate(ARCHS[:-1])]
    path = write(tmp_path, "\n".join(["arch;latency;watts", *rows, f"{ARCHS[0]};1,5;20"]))
    data = table.labelled(accuracies, costs=path)
    assert list(data.costs.columns) == ["params", "flops", "peak_memory", "energy", "latency", "watts"]
    assert data.costs.loc[ARCHS[3], "latency"] == 3.5
    assert data.costs.loc[ARCHS[0], "watts"] == 10  # the mean of two rows
    assert np.isnan(data.costs.loc[ARCHS[-1], "watts"])
    assert any("no cost of 1 of 12 architectures" in note for note in data.notes)


def test_only_named_columns_are_costs(tmp_path):
    path = write(tmp_path, f"arch,top1,ms\n{ARCHS[0]},93,4\n")
    assert list(read_costs(path, SPACE).by_key) == ["top1", "ms"]
    assert list(read_costs(path, SPACE, ["ms"]).by_key) == ["ms"]
    with pytest.raises(FusionError, match="no column 'watts'; there are: arch, top1, ms"):
        read_costs(path, SPACE, ["watts"])


def test_a_file_without_costs_or_architectures_is_refused(tmp_path):
    with pytest.raises(FusionError, match="no column of numbers beside the architectures"):
        read_costs(write(tmp_path, f"arch,board\n{ARCHS[0]},pi\n"), SPACE)
    with pytest.raises(InvalidArchitecture, match="line 2"):
        read_costs(write(tmp_path, "arch,ms\nhello,3\n"), SPACE)


def test_latencies_of_two_machines_are_told(table, accuracies):
    assert table.machines() == []
    rows = table.store.read()
    there = (rows["indicator"] == "latency") & (rows["key"] == rows["key"].iloc[0])
    rows.loc[there, "status"] = "ok: median of one image of 1 x 8 x 8, 1 thread, another processor"
    table.store.keep(rows)
    again = IndicatorTable.open(table.path)
    assert any("another processor" in text for text in again.machines())
    assert any("several machines" in note for note in again.labelled(accuracies).notes)
