"""Numbers and columns of plain tables, as people write them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.storage.plain import is_number, read_table
from tests.storage.plain_files import written


def column_of(tmp_path, values, separator=";"):
    lines = [f"a{separator}{value}" for value in values]
    return read_table(written(tmp_path, "\n".join([f"arch{separator}x", *lines]) + "\n"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("93.63", 93.63), ("+93.63", 93.63), ("1e1", 10), (".5", 0.5), ("5.", 5), ("-0.25E-1", -0.025)],
        *[("93.63%", 93.63), ("93.63 %", 93.63), ("93,63", 93.63), ("93,63%", 93.63), (",5", 0.5)],
        *[("", np.nan), ("-", np.nan), ("NaN", np.nan), ("NA", np.nan), ("n/a", np.nan), ("null", np.nan)],
        *[("None", np.nan), ("<NA>", np.nan), ("#N/A", np.nan), ("?", np.nan)],
    ],
)
def test_numbers_as_people_write_them(tmp_path, text, value):
    found = column_of(tmp_path, [text, "1"] if "%" not in text else [text, "1%"]).floats("x")
    assert found[0] == value or (math.isnan(found[0]) and math.isnan(value))
    assert found[1] == 1


@pytest.mark.parametrize(
    "text",
    ["high", "0x1", "1_000", "1 000", "1.2.3", "1,2,3", "inf", "-Infinity", "1e999", "93.63 ± 0.1", "٣"],
)
def test_text_in_place_of_numbers_is_told_with_its_line(tmp_path, text):
    table = column_of(tmp_path, ["1", text, "2", text])
    with pytest.raises(FusionError, match=r"column 'x' has 2 of 4 values that are no finite number, first"):
        table.floats("x")
    with pytest.raises(
        FusionError, match=rf"a.csv: .*{text!r} in line 3; correct these rows".replace("+", ".")
    ):
        table.floats("x")


def test_comma_is_no_decimal_point_where_it_separates_cells(tmp_path):
    with pytest.raises(FusionError, match=r"first '93,63' in line 2"):
        read_table(written(tmp_path, 'arch,x\na,"93,63"\n')).floats("x")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (["93,5", "1.234"], r"decimal comma \(line 2\) and with a point \(line 3\); write all alike"),
        (["0.93", "", "93%"], r"percent sign \(line 4\) and without \(line 2\); write all alike"),
    ],
)
def test_numbers_of_one_column_that_are_not_written_alike(tmp_path, values, match):
    with pytest.raises(FusionError, match=match):
        column_of(tmp_path, values).floats("x")


def test_cells_that_are_no_text(tmp_path):
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 3], dtype="Int64"),
            "b": [True, False, True],
            "c": pd.Categorical(["1.5", "2", "NA"]),
            "i": [1.0, np.inf, np.nan],
            "t": pd.to_datetime(["2020-01-01"] * 3),
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.floats("n")[::2] == [1, 3]
    assert math.isnan(table.floats("n")[1])
    assert table.floats("c")[:2] == [1.5, 2]
    for name, bad in (("b", "3 of 3"), ("i", "1 of 3 .* in row 2"), ("t", "3 of 3")):
        with pytest.raises(FusionError, match=f"{name!r} has {bad}"):
            table.floats(name)


def test_columns_that_are_not_there_or_twice(tmp_path):
    table = read_table(written(tmp_path, "arch,x,x,\na,1,2,\n"))
    with pytest.raises(FusionError, match=r"no column 'y'; there are: arch, x, x, \(no name\)$"):
        table.column("y")
    with pytest.raises(FusionError, match="2 columns are named 'x'; rename all but one"):
        table.column("x")
    wide = read_table(written(tmp_path, ",".join(f"c{i}" for i in range(30)) + "\n" + ",".join("1" * 30)))
    with pytest.raises(FusionError, match=r"c19 and 10 more$"):
        wide.column("y")


def test_where_rows_are(tmp_path):
    table = column_of(tmp_path, range(9))
    assert table.where([0]) == "line 2"
    assert table.where([0, 2, 3]) == "lines 2, 4, 5"
    assert table.where(range(9)) == "lines 2, 3, 4 and 6 more"


@pytest.mark.parametrize("cell", ["1", "93,6", "5%", "inf", 3, 1.5])
def test_what_is_a_number(cell):
    assert is_number(cell)


@pytest.mark.parametrize("cell", ["", "nan", "arch", "1:", "8:16", None, "top1"])
def test_what_is_no_number(cell):
    assert not is_number(cell)
