from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from nats_bench import create, pickle_save
from nats_bench.api_utils import ArchResults, ResultsCount

from fusion.benchmarks.nats_bench_archive import read_nats_bench
from fusion.errors import FusionError
from fusion.spaces import make_space

ARCHS = list(make_space("nats-tss").enumerate())
TRAINED = [0, 9, 15_624]  # official indices of the architectures with results
SEEDS = [777, 888]
# training -> the sets on which the benchmark evaluated it
EVALUATIONS = {
    "cifar10-valid": ["x-valid", "ori-test"],
    "cifar10": ["ori-test"],
    "cifar100": ["x-valid", "x-test", "ori-test"],
    "ImageNet16-120": ["x-valid", "x-test", "ori-test"],
}
ASKED = [
    ("cifar10", "test", "cifar10", "ori-test"),
    ("cifar10", "val", "cifar10-valid", "x-valid"),
    ("cifar100", "test", "cifar100", "x-test"),
    ("cifar100", "val", "cifar100", "x-valid"),
    ("ImageNet16-120", "test", "ImageNet16-120", "x-test"),
    ("ImageNet16-120", "val", "ImageNet16-120", "x-valid"),
]


def results_of(index, epochs, rng, truth):
    """One architecture in the benchmark's form; notes the last epoch's accuracies in `truth`."""
    every = ArchResults(index, ARCHS[index])
    for training, sets in EVALUATIONS.items():
        for seed in SEEDS:
            per_epoch = dict(enumerate(rng.uniform(1, 100, epochs)))
            config = {"channel": 16, "num_cells": 5, "arch_str": ARCHS[index], "class_num": 10}
            result = ResultsCount(
                training, None, per_epoch, per_epoch, 1.0, 2.0, config, seed, epochs, [0.01]
            )
            result.reset_pseudo_train_times(1.5)
            for name in sets:
                accuracies = {
                    f"{name}@{epoch}": value for epoch, value in enumerate(rng.uniform(1, 100, epochs))
                }
                result.update_eval(accuracies, accuracies, dict.fromkeys(accuracies, 0.5))
                truth[index, str(epochs), training, name, seed] = accuracies[f"{name}@{epochs - 1}"]
            every.update(training, seed, result)
    return every.state_dict()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The same results as the official folder and as the official file, and the accuracies in them."""
    root = tmp_path_factory.mktemp("archive")
    rng, truth = np.random.default_rng(0), {}
    infos = {i: {str(n): results_of(i, n, rng, truth) for n in (12, 200)} for i in TRAINED}
    folder, file = root / "NATS-tss-v1_0-3ffb9-simple", root / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    folder.mkdir()
    pickle_save({"meta_archs": ARCHS, "evaluated_indexes": TRAINED}, folder / "meta.pickle", ".pbz2")
    for index, info in infos.items():
        pickle_save(info, folder / f"{index:06d}.pickle", ".pbz2")
    pickle_save({"meta_archs": ARCHS, "arch2infos": infos, "evaluated_indexes": TRAINED}, file, "")
    return folder, file, truth


@pytest.fixture(params=["folder", "file"])
def path(archive, request):
    return archive[0] if request.param == "folder" else archive[1]


def refused(match, path, **query):
    with pytest.raises(FusionError, match=match) as raised:
        read_nats_bench(path, **({"dataset": "cifar10", "split": "test", "epochs": "200"} | query))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("epochs", ["12", "200"])
def test_accuracies_are_means_over_seeds_of_the_right_training(archive, path, epochs, capfd):
    for dataset, split, training, name in ASKED if epochs == "200" else ASKED[:2]:
        read = read_nats_bench(path, dataset=dataset, split=split, epochs=epochs)
        truth = archive[2]
        expected = [np.mean([truth[i, epochs, training, name, seed] for seed in SEEDS]) for i in TRAINED]
        expected = pd.Series(expected, pd.Index([ARCHS[i] for i in TRAINED], name="arch"))
        pd.testing.assert_series_equal(read, expected.rename(f"{dataset}_{split}_{epochs}"))
    assert capfd.readouterr() == ("", "")


def test_the_official_api_agrees(archive):
    api = create(str(archive[0]), "tss", fast_mode=True, verbose=False)
    read = read_nats_bench(archive[0], dataset="cifar100", split="test", archs=[ARCHS[9]])
    expected = api.get_more_info(9, "cifar100", hp=200, is_random=False)["test-accuracy"]
    assert read.to_dict() == {ARCHS[9]: pytest.approx(expected)}


def test_chosen_architectures_in_the_order_asked_for(path):
    everything = read_nats_bench(path, dataset="cifar10", split="test")
    chosen = [ARCHS[i] for i in (9, 0, 9)]
    read = read_nats_bench(path, dataset="cifar10", split="test", archs=chosen)
    assert read.index.tolist() == chosen
    assert read.tolist() == [everything[arch] for arch in chosen]
    assert read_nats_bench(path, dataset="cifar10", split="test", archs=[]).empty


def test_no_random_seed_is_drawn(path):
    state = random.getstate()
    read_nats_bench(path, dataset="cifar100", split="val")
    assert random.getstate() == state


@pytest.mark.parametrize(
    "query",
    [
        {"dataset": "cifar10-valid"},
        {"dataset": "CIFAR10"},
        {"split": "valid"},
        {"epochs": "90"},
        {"epochs": ""},
    ],
)
def test_accuracy_that_the_benchmark_does_not_have(path, query):
    refused(r"known: cifar10, cifar100, ImageNet16-120; test, val; 200, 12", path, **query)


def test_nothing_at_the_path(tmp_path):
    refused("no NATS-Bench archive here; download NATS-tss-v1_0-3ffb9-simple", tmp_path / "none")
    refused(r"no meta.pickle.pbz2 in this folder; download", tmp_path)


def test_unknown_architecture(path):
    refused("'none' is no architecture of this archive", path, archs=["none"])


def test_architecture_without_results(archive):
    refused(r"000005.pickle.pbz2: missing, it has the results of \|", archive[0], archs=[ARCHS[5]])
    refused(r"no test-accuracy of \|.* after 200 epochs on cifar10", archive[1], archs=[ARCHS[5]])


def test_schedule_or_training_without_results(tmp_path):
    def write(info):
        pickle_save(
            {"meta_archs": ARCHS, "arch2infos": {0: info}, "evaluated_indexes": [0]}, tmp_path / "a", ""
        )

    info = {"12": results_of(0, 12, np.random.default_rng(0), {})}
    write(info)
    refused("after 200 epochs on cifar10", tmp_path / "a")
    info["12"]["dataset_seed"].pop("cifar100")
    write(info)
    refused("after 12 epochs on cifar100", tmp_path / "a", dataset="cifar100", epochs="12")
    info["12"]["all_results"]["cifar10", 777]["eval_acc1es"]["ori-test@11"] = float("nan")
    write(info)
    refused("is nan; fetch the archive again", tmp_path / "a", epochs="12")


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_truncated_archive(archive, tmp_path, keep):
    (tmp_path / "a.pickle.pbz2").write_bytes(archive[1].read_bytes()[:keep])
    refused(r"a.pickle.pbz2: cannot be read \(EOFError", tmp_path / "a.pickle.pbz2")
    for file in archive[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    part = tmp_path / "000009.pickle.pbz2"
    part.write_bytes(part.read_bytes()[:keep])
    refused(r"000009.pickle.pbz2: no test-accuracy .*EOFError", tmp_path)
    assert len(read_nats_bench(tmp_path, dataset="cifar10", split="test", archs=[ARCHS[0]])) == 1


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive at all")
    refused("cannot be read", tmp_path / "a.tar")
    for content in ([1], {"meta_archs": []}, {"meta_archs": [1], "arch2infos": {}, "evaluated_indexes": []}):
        pickle_save(content, tmp_path / "b", "")
        refused("cannot be read", tmp_path / "b")


def test_archive_of_the_size_space_and_archive_without_results(tmp_path):
    pickle_save(
        {"meta_archs": ["8:8:8:8:8"], "arch2infos": {}, "evaluated_indexes": []}, tmp_path / "sss", ""
    )
    refused("is an archive of another space", tmp_path / "sss")
    pickle_save({"meta_archs": ARCHS}, tmp_path / "meta.pickle", ".pbz2")
    refused("holds results of no architecture", tmp_path)


def test_memory_is_given_back_in_the_folder(archive, monkeypatch):
    import nats_bench

    apis = []

    def remembered(*args, **kwargs):
        apis.append(create(*args, **kwargs))
        return apis[0]

    monkeypatch.setattr(nats_bench, "create", remembered)
    read_nats_bench(archive[0], dataset="cifar10", split="test")
    assert len(apis[0].arch2infos_dict) == 0


def test_import_does_not_import_nats_bench():
    code = "import sys, fusion.benchmarks.nats_bench_archive; sys.exit('nats_bench' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
