from __future__ import annotations

import json

import pandas as pd
import pytest
from fusion.pipeline.inputs import load_accuracies

from fusion.benchmarks import BENCHMARKS, Benchmark
from fusion.errors import FusionError
from fusion.images import load_images
from fusion.pipeline.config import AccuracySettings
from fusion.spaces import SPACES, make_space
from fusion.storage.bundled import bundled
from fusion.training.measure import measure
from fusion.training.recipe import Recipe

TINY = make_space("nats-tss", {"channels": 4, "cells": 1})


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_every_benchmark_describes_itself(name):
    cls = BENCHMARKS[name]
    assert issubclass(cls, Benchmark)
    assert cls.name == name
    described = cls.describe()
    assert described["summary"]
    assert described["source"]
    assert described["space"] is None or described["space"] in SPACES
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "digits-tss"])
def test_missing_files_are_one_line(name, tmp_path):
    missing = tmp_path / "missing.parquet"
    first = {
        attr: (getattr(BENCHMARKS[name], attr) or (None,))[0] for attr in ("datasets", "splits", "epochs")
    }
    with pytest.raises(FusionError, match=r"missing\.parquet") as raised:
        BENCHMARKS[name](missing).accuracies(*first.values())
    assert "\n" not in str(raised.value)


def test_plain_table(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("name,top1\na,50.5\nb,60\n")
    benchmark = BENCHMARKS["table"](file, column="top1", arch_column="name")
    found = benchmark.accuracies()
    assert found["accuracy"].to_dict() == {"a": 50.5, "b": 60.0}
    assert found[["seeds", "cost"]].isna().all(axis=None)
    assert (found.index.name, found["seeds"].dtype) == ("arch", "Int64")
    with pytest.raises(
        FusionError, match="benchmark table has no split 'test'; known: none, leave the split out"
    ):
        benchmark.accuracies(split="test")


def test_what_was_measured_here(tmp_path):
    archs = TINY.sample(2, seed=0)
    recipe = Recipe(epochs=1, batch_size=16, train_images=32, seeds=2)
    measured = measure(TINY, archs, load_images("digits"), recipe, tmp_path / "m")
    benchmark = BENCHMARKS["measured"](tmp_path / "m")
    assert (benchmark.space, benchmark.datasets, benchmark.epochs) == ("nats-tss", ("digits",), (1,))
    found = benchmark.accuracies("digits", "test", 1).loc[measured["arch"]]
    assert found["accuracy"].tolist() == measured["accuracy"].tolist()
    assert found["cost"].tolist() == measured["seconds"].tolist()
    assert found["seeds"].tolist() == [2] * len(found)
    with pytest.raises(FusionError, match="no epochs 2; known: 1"):
        benchmark.accuracies(epochs=2)


def test_bundled_benchmark_is_its_table():
    found = BENCHMARKS["digits-tss"]().accuracies()
    table = pd.read_parquet(bundled("data/digits-tss") / "accuracies.parquet").set_index("arch")
    pd.testing.assert_series_equal(found["accuracy"].loc[table.index], table["accuracy"])
    assert set(found["seeds"]) == {8}


def test_folder_of_something_else(tmp_path):
    (tmp_path / "meta.json").write_text('{"format": 1, "kind": "indicators"}')
    with pytest.raises(FusionError, match="no training states here; give the --out of `fusion measure`"):
        BENCHMARKS["measured"](tmp_path)


def test_pipeline_names_any_benchmark():
    chosen = AccuracySettings(
        archive="data/digits-tss", benchmark="measured", dataset="digits", split="test", epochs="5"
    )
    measured = load_accuracies(chosen, make_space("nats-tss"))
    expected = BENCHMARKS["digits-tss"]().accuracies()["accuracy"]
    assert measured.by_arch.to_dict() == expected.to_dict()
    with pytest.raises(FusionError, match="unknown benchmark 'measure'; did you mean 'measured'"):
        load_accuracies(AccuracySettings(archive="x", benchmark="measure"), TINY)
    with pytest.raises(FusionError, match="epochs is 'all', expected a whole number"):
        load_accuracies(AccuracySettings(archive="x", epochs="all"), TINY)
