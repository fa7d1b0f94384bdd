from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pandas as pd
import pytest

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.spaces import make_space
from fusion.spaces.nas_bench_101 import module_hash
from tests.benchmarks.test_benchmark_tfrecord import framed

NAMES = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"]
CELLS = ["100110100001001010101:02001", "110101:01", "1:"]


def number(field, value):
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def length_delimited(field, content):
    size, head = len(content), bytearray([field << 3 | 2])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes(head) + bytes([size]) + content


def evaluation(epoch, seconds, train, val, test):
    fields = [number(i, v) for i, v in enumerate((epoch, seconds, train, val, test), start=1)]
    return b"".join(fields) + length_delimited(6, b"/path/to/model.ckpt-" + b"1" * 120)


def metrics(epochs, val, test, seconds):
    """A ModelMetrics message: evaluations before, half-way and after, parameters, total time."""
    every = (0.0, 0.0, 0.1, 0.1, 0.1), (epochs / 2, seconds / 2, 0.5, 0.4, 0.3)
    message = b"".join(length_delimited(1, evaluation(*values)) for values in every)
    message += length_delimited(1, evaluation(epochs, seconds, 1.0, val, test))
    return message + b"\x10\x96\x01" + number(3, 2 * seconds)


def record(arch, epochs, message, name=None):
    bits, ops = arch.split(":")
    n = len(ops) + 2
    matrix = np.zeros((n, n), dtype=int)
    matrix[np.triu_indices(n, 1)] = list(map(int, bits))
    row = [
        name or module_hash(arch),
        epochs,
        "".join(map(str, matrix.flatten())),
        ",".join(["input", *(NAMES[int(op)] for op in ops), "output"]),
        base64.b64encode(message).decode(),
    ]
    return framed(json.dumps(row).encode())


def cells_of(table):
    ops = table["ops"].fillna("")
    return [f"{bits}:{op}" for bits, op in zip(table["adj_upper"], ops, strict=True)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A file in the benchmark's format, three trainings for each of two numbers of epochs."""
    rng, truth, content = np.random.default_rng(0), {}, []
    for epochs in (108, 4):
        for _ in range(3):
            for arch in CELLS:
                val, test, seconds = rng.random(3)
                truth.setdefault((arch, epochs), []).append((val, test, seconds))
                content.append(record(arch, epochs, metrics(epochs, val, test, seconds)))
    path = tmp_path_factory.mktemp("archive") / "nasbench_full.tfrecord"
    path.write_bytes(b"".join(content))
    return path, truth


def opened(path):
    return BENCHMARKS["nas-bench-101"](path)


def refused(match, path, **query):
    with pytest.raises(FusionError, match=match) as raised:
        opened(path).accuracies(**({"split": "val", "epochs": 108} | query))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("epochs", [4, 108])
@pytest.mark.parametrize("split", ["val", "test"])
def test_accuracies_are_means_over_repeats_of_the_last_evaluation(archive, split, epochs):
    path, truth = archive
    found = opened(path).accuracies("cifar10", split, epochs)
    assert found.index.tolist() == CELLS
    for arch in CELLS:
        val, test, seconds = np.mean(truth[arch, epochs], axis=0)
        assert found.loc[arch, "accuracy"] == pytest.approx(100 * {"val": val, "test": test}[split])
        assert found.loc[arch, "cost"] == pytest.approx(seconds)
        spread = 100 * np.std(truth[arch, epochs], axis=0, ddof=1)[["val", "test"].index(split)]
        assert found.loc[arch, "spread"] == pytest.approx(spread)
    assert found["seeds"].tolist() == [3, 3, 3]


def test_published_accuracies_come_back(shared_data, tmp_path):
    table = pd.read_parquet(shared_data / "nas-bench-101" / "accuracies.parquet").iloc[::400]
    table = pd.concat(
        [table, pd.read_parquet(shared_data / "nas-bench-101" / "accuracies.parquet").query("n < 4")]
    )
    archs = cells_of(table)
    content = [
        record(arch, epochs, metrics(epochs, row[f"val_{epochs}"], 0.5, 1.0), row["hash"])
        for arch, (_, row) in zip(archs, table.iterrows(), strict=True)
        for epochs in (4, 12, 36, 108)
    ]
    (tmp_path / "a.tfrecord").write_bytes(b"".join(content))
    for epochs in (4, 12, 36, 108):
        found = opened(tmp_path / "a.tfrecord").accuracies(split="val", epochs=epochs)
        assert found.index.tolist() == archs
        np.testing.assert_allclose(found["accuracy"], 100 * table[f"val_{epochs}"])
    space = make_space("nas-bench-101")
    assert all(space.canonical(arch) for arch in found.index)


def test_chosen_architectures_are_found_by_any_isomorphic_cell(archive):
    path, _ = archive
    whole = opened(path).accuracies("cifar10", "test", 108)
    twin = "1100100110:010"  # the second cell, and a vertex from which nothing goes on
    assert module_hash(twin) == module_hash(CELLS[1])
    found = opened(path).accuracies("cifar10", "test", 108, archs=[twin])
    pd.testing.assert_frame_equal(found, whole.loc[[CELLS[1]]])
    assert opened(path).accuracies("cifar10", "test", 108, archs=[]).empty


def test_accuracy_that_the_file_does_not_have(archive):
    path, _ = archive
    refused("no split 'train'; known: val, test", path, split="train")
    refused("no epochs 200; known: 4, 12, 36, 108", path, epochs=200)
    refused("name the split, one of val, test", path, split=None)
    refused("no data set 'cifar100'; known: cifar10", path, dataset="cifar100")
    refused(
        r"no training of 36 epochs \(epochs in it: 4, 108\); download nasbench_full.tfrecord", path, epochs=36
    )


def test_missing_file(tmp_path):
    refused(
        r"no such file; download nasbench_only108.tfrecord \(github.com/google-research/nasbench.* at .*none",
        tmp_path / "none",
    )
    refused("no such file; download", tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1, -100])
def test_truncated_file(archive, tmp_path, keep):
    content = archive[0].read_bytes()
    (tmp_path / "a").write_bytes(content[:keep])
    refused("a: (the file is empty|cut short).*; download nasbench_only108", tmp_path / "a")


def test_corrupt_file(archive, tmp_path):
    content = bytearray(archive[0].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a").write_bytes(content)
    refused("wrong checksum|damaged at byte", tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (framed(b"[1, 2]"), "values to unpack"),
        (framed(b"\xff"), "codec"),
        (framed(b"{}"), "values to unpack"),
        (framed(b'["h", 108, "0100", "input,output", "=!"]'), "base64|ase64|padding"),
        (framed(b'["h", 108, "0110", "input,output", ""]'), "leads back"),
        (framed(b'["h", 108, "010", "input,output", ""]'), "no square matrix"),
        (framed(b'["h", 108, "010001000", "input,conv9,output", ""]'), "conv9"),
        (framed(b'["h", 108, "0100", "input,output", ""]'), "no evaluation after the training"),
        (record("1:", 108, metrics(108, 0.5, 0.5, 1.0)[:-1]), "cut short"),
        (record("1:", 108, metrics(108, float("nan"), 0.5, 1.0)), "no val accuracy"),
        (record("1:", 108, length_delimited(1, b"") * 3), "no val accuracy"),
    ],
)
def test_records_of_something_else(tmp_path, content, reason):
    (tmp_path / "a").write_bytes(content)
    refused(f"record 0 is no training of NAS-Bench-101 .*({reason}).*; download", tmp_path / "a")


def test_hashes_name_their_cells(tmp_path):
    path = tmp_path / "nasbench.tfrecord"
    message = metrics(108, 0.9, 0.8, 5.0)
    path.write_bytes(b"".join(record(arch, 108, message) for arch in [*CELLS, CELLS[0]]))
    assert BENCHMARKS["nas-bench-101"](path).hashes() == {module_hash(arch): arch for arch in CELLS}
    path.write_bytes(record(CELLS[0], 108, message) + framed(b"[1, 2]"))
    with pytest.raises(
        FusionError, match=r"record 1 is no training of NAS-Bench-101 .*; download nasbench_only"
    ):
        BENCHMARKS["nas-bench-101"](path).hashes()
