from __future__ import annotations

import errno
import json
import os
import tempfile
import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import FusionError
from fusion.storage import parts as module
from fusion.storage.files import read_parquet, write_atomic, write_parquet
from fusion.storage.parts import PartStore, read_meta
from tests.tables.reading import read_rows

KEYS = ["key", "repeat"]
META = {"kind": "test", "batch": 64}


def rows(*triples):
    return pd.DataFrame(triples, columns=["key", "repeat", "value"])


def content(table):
    return {(row.key, row.repeat): row.value for row in table.itertuples()}


def value_of(key):
    """Both writers of a key compute the same value: a function of the key."""
    text, repeat = key
    return (sum(map(ord, text)) + 10 * repeat) / 8


keys = st.tuples(st.text(alphabet="ab|~é", max_size=3), st.integers(0, 3))
steps = st.lists(
    st.one_of(st.lists(keys, min_size=1, max_size=5), st.sampled_from(["compact", "reopen", "read"])),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_add_read_compact_equal_a_dictionary(program):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        store, model = PartStore.create(path, KEYS, META), {}
        for step in program:
            if step == "compact":
                store.compact()
                assert len(list((path / "parts").iterdir())) <= 1
            elif step == "reopen":
                store = PartStore.create(path, KEYS, META)
            elif step == "read":
                assert content(store.read()) == model
            else:
                store.add(rows(*((*key, value_of(key)) for key in step)))
                model |= {key: value_of(key) for key in step}
        table = store.read()
        assert content(table) == model
        assert list(zip(table["key"], table["repeat"], strict=True)) == sorted(model)
        assert table.index.tolist() == list(range(len(model)))


def test_values_come_back_exactly(tmp_path):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    values = [0.1, -1e308, 5e-324, 1e61, None]
    store.add(rows(*(("a", i, value) for i, value in enumerate(values))))
    read = store.read()["value"]
    assert read[:4].tolist() == values[:4]
    assert pd.isna(read[4])


def test_part_of_nulls_beside_a_part_of_numbers(tmp_path):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    store.add(rows(("a", 0, None)))
    store.add(rows(("b", 0, 1.5)))
    assert store.read()["value"].astype(float).tolist()[1] == 1.5
    assert pd.isna(store.read()["value"][0])


def test_empty_store_reads_as_no_rows(tmp_path):
    table = PartStore.create(tmp_path / "t", KEYS, META).read()
    assert table.empty
    assert list(table.columns) == KEYS


@pytest.mark.parametrize(
    "other", [{"kind": "test", "batch": 32}, {"kind": "test"}, {**META, "seed": 0}, {**META, "batch": "64"}]
)
def test_other_settings_are_refused(tmp_path, other):
    PartStore.create(tmp_path / "t", KEYS, META).add(rows(("a", 0, 1.0)))
    with pytest.raises(FusionError, match=r"other settings.*choose another --out") as raised:
        PartStore.create(tmp_path / "t", KEYS, other)
    assert "\n" not in str(raised.value)
    assert len(PartStore.create(tmp_path / "t", KEYS, META).read()) == 1


def test_settings_are_compared_as_they_are_read_back(tmp_path):
    meta = {"shape": (3, 8), "space": {"cells": 1, "channels": 4}}
    PartStore.create(tmp_path / "t", KEYS, meta)
    PartStore.create(tmp_path / "t", KEYS, {"space": {"channels": 4, "cells": 1}, "shape": [3, 8]})


def test_provenance_is_kept_from_the_first_and_not_compared(tmp_path):
    PartStore.create(tmp_path / "t", KEYS, META, {"torch": "1"})
    PartStore.create(tmp_path / "t", KEYS, META, {"torch": "2"})
    assert read_meta(tmp_path / "t")["provenance"] == {"torch": "1"}


@pytest.mark.parametrize("keep", [0, 3, 40, 0.5, -1])
def test_truncated_part_is_named(tmp_path, keep):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    store.add(rows(*(("a", i, i / 7) for i in range(1000))))
    (part,) = (tmp_path / "t" / "parts").iterdir()
    data = part.read_bytes()
    part.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(FusionError) as raised:
        store.read()
    assert str(part) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_damaged_pages_are_noticed_although_the_footer_is_whole(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, rows(*(("a", i, i / 7) for i in range(5000))))
    data = bytearray(path.read_bytes())
    data[200:1200] = bytes(1000)
    path.write_bytes(data)
    with pytest.raises(FusionError, match=r"a.parquet: truncated or no Parquet file"):
        read_parquet(path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'{"index_columns"', b'["index_columns"'),
        (b'{"index_columns"', b'\xff"index_columns"'),
        (b'"columns"', b'"kolumns"'),
        (b'"column_indexes": []', b'"column_indexes": 77'),
    ],
)
def test_damaged_metadata_for_pandas_is_noticed(tmp_path, right, wrong):
    path = tmp_path / "a.parquet"
    write_parquet(path, rows(("a", 0, 1.0)))
    whole = path.read_bytes()
    assert whole.count(right) == 1
    path.write_bytes(whole.replace(right, wrong))
    with pytest.raises(FusionError, match=r"a.parquet: truncated or no Parquet file") as raised:
        read_parquet(path)
    assert "\n" not in str(raised.value)


def test_missing_file_and_missing_table(tmp_path):
    with pytest.raises(FusionError, match="no such file"):
        read_parquet(tmp_path / "none.parquet")
    with pytest.raises(FusionError, match="no table here"):
        read_meta(tmp_path)


def test_leftover_of_a_killed_writer_is_ignored(tmp_path):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    store.add(rows(("a", 0, 1.0)))
    (tmp_path / "t" / "parts" / ".12ab.parquet.34cd.tmp").write_bytes(b"PAR1 half a fi")
    assert len(store.read()) == 1
    store.add(rows(("b", 0, 2.0)))
    store.compact()
    assert content(PartStore.create(tmp_path / "t", KEYS, META).read()) == {("a", 0): 1.0, ("b", 0): 2.0}


def test_two_stores_on_one_folder_lose_nothing(tmp_path):
    def write(number):
        store = PartStore.create(tmp_path / "t", KEYS, META)
        for i in range(30):
            store.add(rows((f"own-{number}", i, float(i)), ("both", i, float(i))))
            if i % 7 == number:
                store.compact()

    PartStore.create(tmp_path / "t", KEYS, META)
    failures = []

    def guarded(number):
        try:
            write(number)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    expected = {(key, i): float(i) for key in ("own-1", "own-2", "both") for i in range(30)}
    assert content(read_rows(tmp_path / "t", KEYS)) == expected


def test_reader_survives_parts_joined_by_another_process(tmp_path, monkeypatch):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    store.add(rows(("a", 0, 1.0)))
    store.add(rows(("b", 0, 2.0)))
    open_part, joined = module.ParquetReader, []

    def join_then_open(path):
        if not joined:
            joined.append(True)
            PartStore.create(tmp_path / "t", KEYS, META).compact()
        return open_part(path)

    monkeypatch.setattr(module, "ParquetReader", join_then_open)
    assert content(PartStore.open(tmp_path / "t", KEYS).read()) == {("a", 0): 1.0, ("b", 0): 2.0}
    assert len(list((tmp_path / "t" / "parts").iterdir())) == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_the_table_as_it_was(tmp_path, monkeypatch, call):
    store = PartStore.create(tmp_path / "t", KEYS, META)
    store.add(rows(("a", 0, 1.0)))
    store.add(rows(("b", 0, 2.0)))
    before = {path.name: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        for attempt in (lambda: store.add(rows(("c", 0, 3.0))), store.compact):
            with pytest.raises(FusionError, match=r"No space left on device.*make room"):
                attempt()
    after = {path.name: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    assert after == before
    store.add(rows(("c", 0, 3.0)))
    assert len(store.read()) == 3


def test_write_atomic_replaces_the_whole_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"a long first version")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_write_into_a_missing_folder(tmp_path):
    with pytest.raises(FusionError, match="cannot be written"):
        write_atomic(tmp_path / "none" / "file", b"")


def test_write_where_the_folder_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FusionError, match="cannot be"):
        write_atomic(tmp_path / "taken" / "file", b"")
    with pytest.raises(FusionError, match="cannot be"):
        PartStore.create(tmp_path / "taken", KEYS, META)


def test_parts_without_metadata_are_not_taken_over(tmp_path):
    PartStore.create(tmp_path / "t", KEYS, META).add(rows(("a", 0, 1.0)))
    (tmp_path / "t" / "meta.json").unlink()
    with pytest.raises(FusionError, match=r"meta.json: missing beside its parts"):
        PartStore.create(tmp_path / "t", KEYS, META)


@pytest.fixture
def another_process(tmp_path, monkeypatch):
    """While a store is being made, another process makes it too and adds a part."""
    make_folder, made = Path.mkdir, []

    def make_folder_last(self, *mode, **options):
        if not made:
            made.append(self)
            PartStore.create(tmp_path / "t", KEYS, META, {"by": "other"}).add(rows(("a", 0, 1.0)))
        make_folder(self, *mode, **options)

    monkeypatch.setattr(Path, "mkdir", make_folder_last)
    return made


def test_store_that_another_process_makes_at_the_same_moment(tmp_path, another_process):
    store = PartStore.create(tmp_path / "t", KEYS, META, {"by": "us"})
    assert another_process
    assert content(store.read()) == {("a", 0): 1.0}
    assert read_meta(tmp_path / "t")["provenance"] == {"by": "other"}


def test_store_that_another_process_makes_with_other_settings(tmp_path, another_process):
    with pytest.raises(FusionError, match="other settings"):
        PartStore.create(tmp_path / "t", KEYS, {"kind": "another"})
    assert another_process


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 99}',
        "\x00\x01",
    ],
)
def test_unreadable_metadata(tmp_path, text):
    PartStore.create(tmp_path / "t", KEYS, META)
    (tmp_path / "t" / "meta.json").write_text(text)
    with pytest.raises(FusionError):
        PartStore.create(tmp_path / "t", KEYS, META)


def test_metadata_is_plain_json(tmp_path):
    PartStore.create(tmp_path / "t", KEYS, META)
    assert json.loads((tmp_path / "t" / "meta.json").read_text()) == {
        "format": 1, "provenance": {}, **META
    }  # fmt: skip
