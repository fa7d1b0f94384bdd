from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.benchmarks.table import read_accuracies, read_archs, to_keys
from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space

SPACE = make_space("nats-tss")
ARCHS = SPACE.sample(5, seed=0)
# one convolution on one path, written in three ways, and a dead one beside it
TWINS = [
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
]
TABLE = pd.DataFrame({"arch": ARCHS, "test": [90.1, 91.25, 10.0, 1 / 3, 93.0], "val": range(5)})

SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


def save(path, frame):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return path


def refused(match, function, *args):
    with pytest.raises(FusionError, match=match) as raised:
        function(*args)
    assert "\n" not in str(raised.value)


@SUFFIXES
def test_accuracies_come_back_exactly(tmp_path, suffix):
    read = read_accuracies(save(tmp_path / f"a{suffix}", TABLE), "test")
    pd.testing.assert_series_equal(read, TABLE.set_index("arch")["test"])
    assert read_accuracies(tmp_path / f"a{suffix}", "val").dtype == np.float64


@SUFFIXES
def test_other_column_of_architectures(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", TABLE.rename(columns={"arch": "cell"}))
    assert read_accuracies(path, "test", "cell").tolist() == TABLE["test"].tolist()
    refused(r"no column 'arch'; there are: cell, test, val", read_accuracies, path, "test")


def test_architectures_in_the_index_of_a_parquet_file(tmp_path):
    TABLE.set_index("arch").to_parquet(tmp_path / "a.parquet")
    assert read_accuracies(tmp_path / "a.parquet", "test").index.tolist() == ARCHS
    assert read_archs(tmp_path / "a.parquet") == (ARCHS, [1, 2, 3, 4, 5])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_finite_number_survives_csv(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    archs = SPACE.sample(len(values), seed=1)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("arch", "x"), *zip(archs, map(repr, values), strict=True)])
    assert read_accuracies(path, "x").to_dict() == dict(zip(archs, values, strict=True))


@SUFFIXES
def test_missing_column_names_those_there_are(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", TABLE)
    refused(r"no column 'tset'; there are: arch, test, val", read_accuracies, path, "tset")


@SUFFIXES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_accuracies_that_are_not_finite(tmp_path, suffix, bad):
    frame = TABLE.assign(test=[90.0, bad, 80.0, bad, 1.0])
    where = "line 3" if suffix == ".csv" else "row 2"
    refused(
        rf"2 of 5 values that are no finite number, first .* in {where} \(\|",
        read_accuracies,
        save(tmp_path / f"a{suffix}", frame),
        "test",
    )


@SUFFIXES
@pytest.mark.parametrize("bad", ["", "n/a", "93,1", "0x1"])
def test_accuracies_that_are_text(tmp_path, suffix, bad):
    frame = TABLE.assign(test=["90", "91.5", "1e1", "3", bad])
    path = save(tmp_path / f"a{suffix}", frame)
    refused(rf"1 of 5 values .*first '{bad}' in (line 6|row 5)", read_accuracies, path, "test")


def test_truth_values_and_nulls_are_no_accuracies(tmp_path):
    frame = TABLE.assign(test=[True, False] * 2 + [True], val=pd.array([1, None, 3, 4, 5], dtype="Int64"))
    path = save(tmp_path / "a.parquet", frame)
    refused("5 of 5 values", read_accuracies, path, "test")
    refused("1 of 5 values", read_accuracies, path, "val")


@SUFFIXES
def test_duplicates(tmp_path, suffix):
    twice = pd.concat([TABLE, TABLE.iloc[[2, 0]]], ignore_index=True)
    read = read_accuracies(save(tmp_path / f"a{suffix}", twice), "test")
    assert read.to_dict() == dict(zip(ARCHS, TABLE["test"], strict=True))
    assert read.index.is_unique
    twice.loc[6, "test"] += 0.5
    where = "90.1 in line 2 and 90.6 in line 8" if suffix == ".csv" else "90.1 in row 1 and 90.6 in row 7"
    refused(
        rf"has two accuracies in column 'test', {where}",
        read_accuracies,
        save(tmp_path / f"b{suffix}", twice),
        "test",
    )


@SUFFIXES
def test_empty_table(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", TABLE[:0])
    refused("has no rows", read_accuracies, path, "test")
    refused("has no rows", read_archs, path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".txt"])
def test_file_that_is_missing_empty_binary_or_a_folder(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    refused("no such file", read_archs, path)
    path.write_bytes(b"")
    refused("empty|truncated|no architecture", read_archs, path)
    path.write_bytes(b"\xff\xfe\x00\x81")
    refused("no UTF-8 text|truncated", read_archs, path)
    path.unlink()
    path.mkdir()
    refused("cannot be read|truncated", read_archs, path)


def test_truncated_files(tmp_path):
    path = save(tmp_path / "a.parquet", TABLE)
    path.write_bytes(path.read_bytes()[:-20])
    refused("truncated", read_accuracies, path, "test")
    path = save(tmp_path / "a.csv", TABLE)
    path.write_text(path.read_text()[:-6])
    refused("line 6 has 2 fields, the header has 3; the file may be cut short", read_accuracies, path, "test")
    path.write_text('arch,test\n"|none', "utf-8")
    refused("is no CSV", read_accuracies, path, "test")


def test_accuracies_from_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.txt").write_text("arch,test\n")
    refused(r"must end in .parquet or .csv", read_accuracies, tmp_path / "a.txt", "test")


def test_same_name_for_two_columns(tmp_path):
    (tmp_path / "a.csv").write_text(f"arch,x,x\n{ARCHS[0]},1,2\n")
    refused("2 columns are named 'x'", read_accuracies, tmp_path / "a.csv", "x")
    assert read_archs(tmp_path / "a.csv") == ([ARCHS[0]], [2])


@pytest.mark.parametrize("arch", ["", "  ", None, 3])
def test_row_without_an_architecture(tmp_path, arch):
    frame = pd.DataFrame({"arch": pd.array([*ARCHS[:2], arch], dtype=object), "test": [1.0, 2.0, 3.0]})
    if arch == 3:
        frame["arch"] = [1, 2, 3]
    path = save(tmp_path / "a.parquet", frame)
    refused(r"row (1|3) has .* where an architecture string is expected", read_accuracies, path, "test")


def test_csv_as_a_spreadsheet_writes_it(tmp_path):
    text = "\ufeffarch,note,test\r\n\r\n" + f'"{ARCHS[0]}","a, b",90\r\n,,\r\n{ARCHS[1]},,80\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_accuracies(tmp_path / "a.csv", "test").to_dict() == {ARCHS[0]: 90.0, ARCHS[1]: 80.0}
    assert read_archs(tmp_path / "a.csv") == (ARCHS[:2], [3, 5])


def test_architectures_of_a_text_file(tmp_path):
    (tmp_path / "archs.txt").write_text(f"\n{ARCHS[0]}\n\n  {ARCHS[1]} \r\n{ARCHS[0]}")
    assert read_archs(tmp_path / "archs.txt") == ([ARCHS[0], ARCHS[1], ARCHS[0]], [2, 4, 5])


@SUFFIXES
def test_architectures_of_a_table(tmp_path, suffix):
    start = 2 if suffix == ".csv" else 1
    read = read_archs(save(tmp_path / f"a{suffix}", TABLE))
    assert read == (ARCHS, list(range(start, start + 5)))
    path = save(tmp_path / f"b{suffix}", TABLE.rename(columns={"arch": "cell"}))
    refused("no column 'arch'; there are: cell, test, val", read_archs, path)


def test_keys_are_means_over_equal_networks():
    keys = to_keys(pd.Series([1.0, 2.0, 6.0, 50.0], index=[*TWINS, ARCHS[0]], name="test"), SPACE)
    assert keys.to_dict() == {SPACE.canonical(TWINS[0]): 3.0, SPACE.canonical(ARCHS[0]): 50.0}
    assert keys.name == "test"
    assert keys.index.name == "key"


def test_keys_name_the_row_of_what_is_no_architecture():
    with pytest.raises(InvalidArchitecture, match=r"^accuracies, row 2: 'none' is no nats-tss"):
        to_keys(pd.Series([1.0, 2.0], index=[ARCHS[0], "none"]), SPACE)


@pytest.mark.shared
def test_published_table(shared_data):
    table = read_accuracies(shared_data / "nats-tss" / "accuracies.parquet", "cifar10_test_200")
    assert len(table) == 15_625
    assert table.max() == pytest.approx(94.373, abs=5e-4)
    keys = to_keys(table, SPACE)
    assert len(keys) == 5_260
    key = SPACE.canonical(TWINS[0])
    members = [arch for arch in table.index if SPACE.canonical(arch) == key]
    assert keys[key] == pytest.approx(np.mean([table[arch] for arch in members]))
