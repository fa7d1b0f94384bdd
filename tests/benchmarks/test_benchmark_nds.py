from __future__ import annotations

import json

import pytest

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.spaces import SPACES, make_space


def entry(net, error, epochs=50):
    return {"net": net, "min_test_top1": error, "optim": {"max_ep": epochs}, "params": 1}


def written(tmp_path, content, name="DARTS_in.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refused(match, path):
    with pytest.raises(FusionError, match=match) as raised:
        BENCHMARKS["nds"](path).accuracies()
    assert "\n" not in str(raised.value)


def test_accuracies_of_every_published_file(shared_data):
    files = sorted((shared_data / "nds").glob("*.json"))
    assert len(files) == 7
    for file in files:
        entries = json.loads(file.read_text())
        benchmark = BENCHMARKS["nds"](file)
        found = benchmark.accuracies("ImageNet", "test", 50)
        assert [json.loads(arch) for arch in found.index] == [one["net"] for one in entries]
        expected = [100 - one["min_test_top1"] for one in entries]
        assert found["accuracy"].tolist() == pytest.approx(expected, abs=1e-12)
        assert set(found["seeds"]) == {1}
        assert found["cost"].isna().all()
        if benchmark.space in SPACES:
            space = make_space(benchmark.space)
            assert len({space.canonical(arch) for arch in found.index}) == len(found)


def test_failed_trainings_are_left_out_and_equal_networks_are_seeds(tmp_path):
    path = written(tmp_path, [entry({"b": 1, "a": [2]}, 30), entry({"a": [2], "b": 1}, 40), entry({}, 99.9)])
    found = BENCHMARKS["nds"](path).accuracies()
    assert found.index.tolist() == ['{"a":[2],"b":1}']
    assert found.iloc[0].tolist()[:2] == [65.0, 2]
    assert found["spread"].iloc[0] == pytest.approx(50**0.5)


def test_name_and_entries_say_what_was_measured(tmp_path):
    path = written(tmp_path, [entry({}, 5, 100), entry({}, 7, 50)], "ResNeXt-A.json")
    benchmark = BENCHMARKS["nds"](path)
    assert (benchmark.space, benchmark.datasets, benchmark.epochs) == (
        "nds-resnext-a",
        ("cifar10",),
        (50, 100),
    )
    assert benchmark.accuracies(epochs=100)["accuracy"].tolist() == [95]
    refused("name the epochs, one of 50, 100", path)


def test_missing_and_damaged_files(tmp_path):
    refused(
        r"no such file; download data.zip \(github.com/facebookresearch/nds.* at .*x.json",
        tmp_path / "x.json",
    )
    refused("cannot be read", tmp_path)
    refused("no JSON, or cut short; download", written(tmp_path, json.dumps([entry({}, 5)])[:-4]))
    for content in ([], {}, {"top": []}, [entry({}, None)]):
        refused("holds no trained network", written(tmp_path, content))
    for content in (
        {"a": 1},
        [1],
        [entry({}, 101)],
        [{"net": {}}],
        3,
        [entry({}, "x")],
        [entry({}, 1, None)],
    ):
        refused("no file of NDS", written(tmp_path, content))
    refused(r"\(entry 2 of mid is no training", written(tmp_path, {"mid": [entry({}, 5), entry({}, -1)]}))


def test_entries_in_several_lists(tmp_path):
    nets = [{"a": i} for i in range(3)]
    lists = {"top": [entry(nets[0], 10)], "mid": [entry(nets[1], 20), entry(nets[2], 30), entry(nets[0], 12)]}
    found = BENCHMARKS["nds"](written(tmp_path, lists)).accuracies()
    assert found["accuracy"].to_dict() == {'{"a":0}': 89.0, '{"a":1}': 80.0, '{"a":2}': 70.0}
    assert found["seeds"].tolist() == [2, 1, 1]
    assert found["spread"].isna().tolist() == [False, True, True]


def test_entries_without_an_error_are_left_out_and_named(tmp_path):
    empty = [entry({"b": i}, [None, float("nan")][i % 2]) for i in range(5)]
    path = written(tmp_path, {"top": [entry({"a": 0}, 10)], "mid": empty})
    benchmark = BENCHMARKS["nds"](path)
    assert benchmark.accuracies().index.tolist() == ['{"a":0}']
    names = "entry 1 of mid, entry 2 of mid, entry 3 of mid and 2 more"
    assert benchmark.notes == (f"{path}: left out for want of an error: {names}",)
    assert BENCHMARKS["nds"](written(tmp_path, [entry({}, 5)])).notes == ()


@pytest.mark.parametrize("name", ["ResNet.json", "Vanilla.json", "ResNet_reruns.json", "own.json"])
def test_design_spaces_that_are_no_spaces_here(tmp_path, name):
    family = name.removesuffix(".json").split("_")[0]
    refused(
        rf"{name}: there is no space for the networks of '{family}'; give .* \(.*darts.*resnext-a",
        written(tmp_path, [entry({}, 5)], name),
    )
