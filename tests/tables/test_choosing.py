"""Architectures that a command or a pipeline names."""

import json
from dataclasses import replace

import pytest

from fusion.benchmarks.source import AccuracySettings, load_accuracies
from fusion.errors import FusionError
from fusion.spaces import make_space
from fusion.tables.choosing import Architectures, choose_architectures, find_rows, named_architectures
from tests.tables.small import distinct, table_of, values_of

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})


def test_architectures_are_chosen_in_each_way(tmp_path):
    every = choose_architectures(SPACE, Architectures())
    assert len(every) == 15625
    live = choose_architectures(SPACE, Architectures(without_dead_edges=True))
    assert len(live) == 9445
    some = choose_architectures(SPACE, Architectures(sample=50, seed=3))
    assert some == choose_architectures(SPACE, Architectures(sample=80, seed=3))[:50]
    keys = choose_architectures(SPACE, Architectures(sample=50, distinct=True))
    assert keys == [SPACE.canonical(key) for key in keys]
    assert len(set(keys)) == 50
    assert len(choose_architectures(SPACE, Architectures(distinct=True))) == 5260
    (tmp_path / "a.csv").write_text("arch\n" + "\n".join([some[0], some[1], some[0]]) + "\n")
    assert choose_architectures(SPACE, Architectures(file=str(tmp_path / "a.csv"))) == some[:2]
    with pytest.raises(FusionError, match="5260 different networks"):
        choose_architectures(SPACE, Architectures(sample=6000, distinct=True))


def test_accuracies_of_a_table_and_of_an_archive_alike(tmp_path):
    net = '{"b":1}'
    (tmp_path / "a.csv").write_text(f"cell;top1\n{SPACE.sample(1, 0)[0]};93,5\n")
    chosen = AccuracySettings(table=str(tmp_path / "a.csv"), column="top1", arch_column="cell")
    assert load_accuracies(chosen, SPACE).by_arch.tolist() == [93.5]
    assert load_accuracies(replace(chosen, lower_is_better=True), SPACE).by_arch.tolist() == [-93.5]
    entries = [{"net": {"b": b}, "min_test_top1": y, "optim": {"max_ep": 9}} for b, y in ((1, 40), (2, None))]
    (tmp_path / "DARTS.json").write_text(json.dumps(entries))
    chosen = AccuracySettings(archive=str(tmp_path / "DARTS.json"), benchmark="nds")
    found = load_accuracies(chosen, SPACE)
    assert found.by_arch.to_dict() == {net: 60.0}
    assert "entry 2" in found.notes[0]
    assert load_accuracies(replace(chosen, lower_is_better=True), SPACE).by_arch.to_dict() == {net: -60.0}


def test_rows_that_a_table_lacks_are_named(tmp_path):
    keys = distinct(8, seed=1)
    values, _ = values_of(keys[:5])
    table = table_of(tmp_path / "t", values)
    (tmp_path / "a.csv").write_text("arch,note\n" + "\n".join(f"{key},{i}" for i, key in enumerate(keys)))
    found = find_rows(table.space, str(tmp_path / "a.csv")).within(table)
    assert found.archs == keys[:5]
    assert found.columns["note"].astype(int).tolist() == [0, 1, 2, 3, 4]
    (told,) = found.told
    assert told.startswith("3 architectures are not in")
    assert all(key in told for key in keys[5:])
    assert find_rows(table.space, str(tmp_path / "a.csv")).told == ()
    (tmp_path / "b.csv").write_text("arch\n" + "\n".join(keys[5:]))
    with pytest.raises(FusionError, match="holds none of the architectures"):
        find_rows(table.space, str(tmp_path / "b.csv")).within(table)


def test_architectures_named_in_a_word():
    assert named_architectures(SPACE, "sample:3:1") == SPACE.sample(3, 1)
    assert named_architectures(SPACE, "sample:3") == SPACE.sample(3, 0)
    assert len(named_architectures(SPACE, "all")) == 15625
    for text in ("sample:x", "sample:3:1:2", "sample:", "sample:-3"):
        with pytest.raises(FusionError, match="expected sample:N or sample:N:SEED"):
            named_architectures(SPACE, text)


def test_one_architecture_is_named_by_itself(tmp_path, monkeypatch):
    (arch,) = SPACE.sample(1, 0)
    assert named_architectures(SPACE, arch) == find_rows(SPACE, arch).archs == [arch]
    with pytest.raises(FusionError, match="no such file"):
        named_architectures(SPACE, "nothing")

    class Any(type(SPACE)):
        def canonical(self, arch):
            return arch

    assert named_architectures(Any(), "a-b") == ["a-b"]
    with pytest.raises(FusionError, match=r"a\.csv: no such file"):
        named_architectures(Any(), "a.csv")
    monkeypatch.chdir(tmp_path)
    other = SPACE.sample(2, 1)[1]
    (tmp_path / arch).write_text(f"{other}\n")
    assert named_architectures(SPACE, arch) == [other]
