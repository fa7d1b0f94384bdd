"""The indicator table: same inputs, same table, whatever happens on the way."""

import json

import pandas as pd
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction import extract
from fusion.extraction.planner import compute
from fusion.images import load_images
from fusion.indicators import select
from fusion.spaces import make_space
from fusion.tables import IndicatorTable
from fusion.tables.indicator_table import KEYS
from fusion.work import Work
from fusion.work.devices import pick_device
from tests.tables.reading import read_rows, read_table

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
BATCH = load_images("digits").batch(8)
ARCHS = SPACE.sample(7, 0)
NAMES = select("full")
MODULE = "fusion.extraction.verb"


def rows(path):
    """Return all rows but their times."""
    return read_rows(path, KEYS).drop(columns="seconds")


def run(path, archs=ARCHS, names=NAMES, **more):
    work = Work("cpu", more.pop("workers", 1), progress=False)
    batch = more.pop("batch", BATCH)
    return extract(SPACE, archs, names, images=batch, out=path, work=work, **more).values()


def spread(path):
    return IndicatorTable.open(path).spread()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "table"
    run(path)
    return rows(path)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_same_table_for_any_workers_and_order(tmp_path, reference, workers):
    run(tmp_path / "t", ARCHS[::-1], NAMES[::-1], workers=workers)
    pd.testing.assert_frame_equal(rows(tmp_path / "t"), reference)


def test_same_table_in_pieces(tmp_path, reference):
    run(tmp_path / "t", ARCHS[:2], ["params", "cj"])
    run(tmp_path / "t", ARCHS[4:], ["nlr"])
    run(tmp_path / "t")
    pd.testing.assert_frame_equal(rows(tmp_path / "t"), reference)


def test_resuming_computes_only_what_is_missing(tmp_path, monkeypatch):
    run(tmp_path / "t", ARCHS[:3], ["params"])
    asked = []
    monkeypatch.setattr(f"{MODULE}.compute", lambda names, s: asked.append(tuple(names)) or compute(names, s))
    run(tmp_path / "t", ARCHS[:3], ["params", "flops"])
    assert set(asked) == {("flops",)}
    asked.clear()
    run(tmp_path / "t", ARCHS[:3], ["params", "flops"])
    assert asked == []


def test_twins_are_computed_once(tmp_path):
    twins = [
        "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
        "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    ]
    found = run(tmp_path / "t", twins, ["params"])
    assert list(found.index) == [twins[2]]
    assert len(rows(tmp_path / "t")) == 1


def test_repeats_have_a_mean_and_a_spread(tmp_path):
    live = [arch for arch in ARCHS if "cell" in SPACE.graphs(arch) and SPACE.graphs(arch)["cell"].edges][:2]
    found = run(tmp_path / "t", live, ["os", "params"], repeats=3)
    long = rows(tmp_path / "t")
    for key in found.index:
        values = long[(long["key"] == key) & (long["indicator"] == "os")]["value"].astype(float)
        assert found.loc[key, "os"] == pytest.approx(values.mean())
        assert spread(tmp_path / "t").loc[key, "os"] == pytest.approx(values.std())
    assert (spread(tmp_path / "t")["params"] == 0).all()


def test_undefined_values_are_null_with_a_status(tmp_path):
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    found = run(tmp_path / "t", [dead])
    assert found.loc[dead].isna()["cj"]
    assert found.loc[dead].notna()["params"]
    told = IndicatorTable.open(tmp_path / "t").undefined().set_index("indicator")["status"]
    assert told["cj"] == "the output is the same for every input"


def test_metadata_says_how_to_compute_it_again(tmp_path):
    run(tmp_path / "t", ARCHS[:1], ["params"])
    meta = json.loads((tmp_path / "t" / "meta.json").read_text())
    assert meta["space_settings"] == SPACE.settings
    assert meta["batch_digest"] == BATCH.digest
    assert meta["indicator_versions"] == {"params": 1}
    assert meta["provenance"]["images"] == "digits"
    assert {"torch", "numpy", "python"} <= meta["provenance"]["libraries"].keys()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 1}, "seed"), ({"batch": load_images("digits").batch(9)}, "batch_digest")],
)
def test_other_settings_are_refused(tmp_path, change, named):
    run(tmp_path / "t", ARCHS[:1], ["params"])
    with pytest.raises(FusionError, match=named):
        run(tmp_path / "t", ARCHS[:1], ["params"], **change)


def test_another_version_of_an_indicator_is_refused(tmp_path):
    run(tmp_path / "t", ARCHS[:1], ["params"])
    meta = tmp_path / "t" / "meta.json"
    meta.write_text(meta.read_text().replace('"params": 1', '"params": 99'))
    with pytest.raises(FusionError, match="params of another version"):
        run(tmp_path / "t", ARCHS[:2], ["params"])


def test_an_unknown_architecture_is_told_before_anything_is_computed(tmp_path):
    with pytest.raises(InvalidArchitecture):
        run(tmp_path / "t", [ARCHS[0], "|conv~0|"], ["params"])
    assert not (tmp_path / "t").exists()


def test_an_interrupted_extraction_keeps_what_was_computed(tmp_path, monkeypatch):
    done = []

    def stop_after_three(names, subject):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return compute(names, subject)

    monkeypatch.setattr(f"{MODULE}.compute", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "t", names=["params"])
    assert len(rows(tmp_path / "t")) == 3


def test_devices(monkeypatch):
    assert pick_device("cpu") == "cpu"
    with pytest.raises(FusionError, match="auto, cpu, cuda"):
        pick_device("tpu9")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(FusionError, match="0 CUDA devices"):
        pick_device("cuda:1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device("auto") == "cpu"


def test_reading_what_is_no_table(tmp_path):
    with pytest.raises(FusionError, match="no table"):
        read_table(tmp_path)
    run(tmp_path / "t", ARCHS[:1], ["params"])
    part = next((tmp_path / "t" / "parts").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(FusionError, match="truncated"):
        read_table(tmp_path / "t")
