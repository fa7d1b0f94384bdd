from __future__ import annotations

import json

import pandas as pd
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space
from fusion.tables import read_archs

SPACE = make_space("nats-tss")
ARCHS = SPACE.sample(3, seed=0)


def written(tmp_path, text, name="a.txt"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_one_per_line(tmp_path):
    path = written(tmp_path, f"# mine\n{ARCHS[0]}\n\n  {ARCHS[1]} \r\n{ARCHS[0]}")
    found = read_archs(path, SPACE)
    assert found.archs == (ARCHS[0], ARCHS[1], ARCHS[0])
    assert found.lines == (2, 4, 5)
    assert found.columns["arch"].tolist() == [ARCHS[0], ARCHS[1], ARCHS[0]]
    assert found.distinct() == ARCHS[:2]
    assert (found.source, found.bad) == (str(path), None)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "archs"])
def test_a_list_needs_no_header_in_any_notation(tmp_path, name):
    found = read_archs(written(tmp_path, "(4, 0, 3, 1, 4, 3)\n12839\n", name), SPACE)
    assert found.archs == (SPACE.read("(4, 0, 3, 1, 4, 3)"), SPACE.read("12839"))
    assert found.columns["arch"].tolist() == ["(4, 0, 3, 1, 4, 3)", "12839"]


def test_lines_with_commas_and_quotation_marks(tmp_path):
    space = make_space("nds-resnext-a")
    archs = space.sample(3, seed=0)
    assert read_archs(written(tmp_path, "\n".join(archs)), space).archs == tuple(archs)
    assert read_archs(written(tmp_path, "\n".join(archs)), None).archs == tuple(archs)
    frame = pd.DataFrame({"arch": archs, "x": 1})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert read_archs(tmp_path / "a.csv", space).archs == tuple(archs)
    nets = [{"arch": json.loads(arch), "x": 1} for arch in archs]
    assert read_archs(written(tmp_path, json.dumps(nets), "a.json"), space).archs == tuple(archs)


def test_columns_of_a_table_are_kept_as_they_are(tmp_path):
    text = f"id;arch;top1\n7;{ARCHS[0]};93,60\n8;oops;-\n9; {ARCHS[1].upper()} ;\n"
    found = read_archs(written(tmp_path, text, "a.csv"), SPACE)
    assert found.archs == tuple(ARCHS[:2])
    assert found.lines == (2, 4)
    assert found.columns.columns.tolist() == ["id", "arch", "top1"]
    assert found.columns.to_numpy().tolist() == [["7", ARCHS[0], "93,60"], ["9", ARCHS[1].upper(), ""]]
    assert found.bad.startswith(f"{tmp_path / 'a.csv'}, line 3: 'oops' is no nats-tss architecture")
    with pytest.raises(InvalidArchitecture, match="line 3: 'oops'"):
        found.distinct()


def test_columns_of_a_parquet_file_keep_their_types(tmp_path):
    frame = pd.DataFrame(
        {"n": pd.array([1, None, 3], dtype="Int64"), "arch": ARCHS, "y": [True, False, True]}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_archs(tmp_path / "a.parquet", SPACE)
    pd.testing.assert_frame_equal(found.columns, pd.read_parquet(tmp_path / "a.parquet"))
    assert found.lines == (1, 2, 3)


def test_cells_that_are_lists(tmp_path):
    sizes = make_space("nats-sss")
    pd.DataFrame({"arch": [[8, 16, 32, 48, 64], [8, 8, 8, 8, 8]]}).to_parquet(tmp_path / "a.parquet")
    assert read_archs(tmp_path / "a.parquet", sizes).archs == ("8:16:32:48:64", "8:8:8:8:8")


@pytest.mark.parametrize("numbers", [[3, 9], [3.0, 9.0], ["3", "9"]])
def test_official_numbers_of_any_type(tmp_path, numbers):
    pd.DataFrame({"index": numbers}).to_parquet(tmp_path / "a.parquet")
    assert read_archs(tmp_path / "a.parquet", SPACE).archs == (SPACE.read("3"), SPACE.read("9"))


def test_numbers_that_count_the_rows_must_be_named(tmp_path):
    path = written(tmp_path, "index,accuracy\n0,90\n1,91\n", "a.csv")
    with pytest.raises(FusionError, match="'index' seems to count the rows"):
        read_archs(path, SPACE)
    assert read_archs(path, SPACE, arch_column="index").archs == (SPACE.read("0"), SPACE.read("1"))


def test_the_most_telling_name_wins(tmp_path):
    text = f"index,hash,architecture,arch_str\n5,x,{ARCHS[0]},{ARCHS[1]}\n"
    path = written(tmp_path, text, "a.csv")
    assert read_archs(path, SPACE).archs == (ARCHS[0],)
    assert read_archs(path, SPACE, arch_column="arch_str").archs == (ARCHS[1],)
    assert read_archs(path, SPACE, arch_column="index").archs == (SPACE.read("5"),)


def test_unnamed_column_of_numbers_holds_no_architectures(tmp_path):
    with pytest.raises(FusionError, match=r"no column 'arch'; there are: \(no name\), accuracy"):
        read_archs(written(tmp_path, ",accuracy\n0,90\n1,91\n", "a.csv"), SPACE)


def test_bad_lines_are_told_together(tmp_path):
    path = written(tmp_path, "\n".join(["oops", *ARCHS, "x" * 100]))
    found = read_archs(path, SPACE)
    assert found.archs == tuple(ARCHS)
    assert found.bad.startswith(f"{path}, line 1: 'oops' is no nats-tss architecture; expected")
    assert found.bad.endswith(f"; likewise line 5 {'x' * 57 + '...'!r}")
    assert "\n" not in found.bad


def test_cells_without_an_architecture(tmp_path):
    frame = pd.DataFrame({"arch": [None, ARCHS[0], " "], "x": [1, 2, 3]})
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_archs(tmp_path / "a.parquet", SPACE)
    assert found.archs == (ARCHS[0],)
    assert "row 1: '' in column 'arch' where an architecture is expected; likewise row 3 ''" in found.bad


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.parquet"])
def test_files_that_are_missing_or_empty(tmp_path, name):
    with pytest.raises(FusionError, match=rf"{name}: no such file"):
        read_archs(tmp_path / name, SPACE)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FusionError, match=rf"{name}: the file is empty"):
        read_archs(tmp_path / name, SPACE)


def test_a_table_without_rows(tmp_path):
    with pytest.raises(FusionError, match=r"the table has no rows"):
        read_archs(written(tmp_path, "arch,x\n", "a.csv"), SPACE)


def test_a_space_that_takes_any_string_still_has_headers(tmp_path):
    class Any(type(SPACE)):
        def canonical(self, arch):
            return arch

        def read(self, text):
            return text.strip()

    assert read_archs(written(tmp_path, "arch,x\na,1\nb,2\n", "a.csv"), Any()).archs == ("a", "b")
    with pytest.raises(FusionError, match="no column 'y'"):
        read_archs(written(tmp_path, "arch,x\na,1\n", "a.csv"), Any(), arch_column="y")


def test_a_space_that_does_not_refuse_properly(tmp_path):
    class Sloppy(type(SPACE)):
        def read(self, text):
            return str(int(text) // 1)

    found = read_archs(written(tmp_path, "arch,x\n7,1\noops,2\n", "a.csv"), Sloppy())
    assert found.archs == ("7",)
    assert "line 3: 'oops' is no nats-tss architecture (ValueError: invalid literal" in found.bad
    assert read_archs(written(tmp_path, "7\n8\n", "a.csv"), Sloppy()).archs == ("7", "8")


def test_errors_of_a_space_that_are_about_no_architecture(tmp_path):
    class Broken(type(SPACE)):
        def read(self, text):
            raise FusionError("the list of cells is missing")

    with pytest.raises(FusionError, match="the list of cells is missing"):
        read_archs(written(tmp_path, "arch\n7\n", "a.csv"), Broken())


def test_columns_that_spell_an_architecture_may_be_all_that_there_is(tmp_path):
    space = make_space("nas-bench-101")
    (tmp_path / "a.csv").write_text("adj_upper,ops\n111,0\n")
    found = read_archs(tmp_path / "a.csv", space)
    assert found.archs == (space.read("111:0"),)


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_that_counts_the_rows_is_not_taken_for_official_numbers(tmp_path, first):
    numbers = "\n".join(f"{i},90" for i in range(first, first + 4))
    (tmp_path / "a.csv").write_text("index,accuracy\n" + numbers)
    with pytest.raises(FusionError, match="seems to count the rows"):
        read_archs(tmp_path / "a.csv", make_space("nats-tss"))
