from __future__ import annotations

import builtins
import bz2
import gzip
import io
import lzma
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusion.errors import FusionError
from fusion.storage import plain
from fusion.storage.plain import read_lines, read_table
from tests.storage.plain_files import ARCHS, TABLE, cells, refused, written

# --- text in any dialect ---------------------------------------------------------------------

_CELL = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"], exclude_characters="#")
    | st.sampled_from(" ,;|\"'"),
    max_size=8,
).map(str.strip)
_ROW = st.tuples(_CELL.filter(bool), st.floats(allow_nan=False, allow_infinity=False), _CELL)


@settings(max_examples=150)
@given(
    rows=st.lists(_ROW, min_size=1, max_size=5),
    separator=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    comments=st.integers(0, 2),
    packed=st.booleans(),
    blank=st.booleans(),
)
def test_a_table_in_any_dialect_reads_back(
    tmp_path_factory, rows, separator, decimal, encoding, end, comments, packed, blank
):
    if separator == ",":
        decimal = "."
    header = ["arch", "top1", "note"]
    text = io.StringIO()
    frame = pd.DataFrame(rows, columns=header)
    frame["top1"] = [repr(value).replace(".", decimal) for value in frame["top1"]]
    frame.to_csv(text, index=False, sep=separator, quoting=1, lineterminator="\n")
    lines = [f"# ready {i}, steady; go\t" for i in range(comments)] + text.getvalue().split("\n")
    if blank:
        lines.insert(comments + 1, "")
    data = end.join(lines).encode(encoding)
    assume(encoding != "cp1252" or _is_no_utf8(data))
    path = tmp_path_factory.getbasetemp() / ("dialect.csv.gz" if packed else "dialect.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    table = read_table(path)
    assert table.header == tuple(header)
    assert cells(table) == frame.to_numpy().tolist()
    assert table.floats("top1") == [row[1] for row in rows]
    assert table.separator == separator
    assert (table.unit, table.numbers[0]) == ("line", comments + blank + 2)


def _is_no_utf8(data):
    """Return whether Windows' Latin cannot be mistaken for UTF-8 that says something else."""
    try:
        return data.decode("utf-8") == data.decode("cp1252")
    except UnicodeDecodeError:
        return True


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.txt", "a.dat", "a"])
def test_the_name_of_a_text_file_does_not_matter(tmp_path, name):
    table = read_table(written(tmp_path, "arch\tx\na\t1\n", name))
    assert (table.header, cells(table), table.numbers) == (("arch", "x"), [["a", "1"]], (2,))


def test_blanks_around_cells_and_in_lines_of_blanks(tmp_path):
    assert cells(read_table(written(tmp_path, 'arch , x\n  a b ,  1 \n"c", "2"\n'))) == [
        ["a b", "1"],
        ["c", "2"],
    ]
    assert cells(read_table(written(tmp_path, "  arch   x\n  a    1 \n b 2\n"))) == [["a", "1"], ["b", "2"]]


def test_bars_separate_nothing(tmp_path):
    table = read_table(written(tmp_path, "arch\n|a~0|+|b~0|c~1|\n|a~0|+|b~0|c~1|\n"))
    assert (table.header, table.separator) == (("arch",), "")
    assert table.column("arch") == ["|a~0|+|b~0|c~1|"] * 2


def test_separator_that_the_file_declares_for_a_spreadsheet(tmp_path):
    table = read_table(written(tmp_path, "sep=;\r\narch;x\r\na,b;1\r\n"))
    assert (cells(table), table.numbers) == ([["a,b", "1"]], (3,))


def test_comments_blank_lines_and_repeated_headers_are_passed_over_but_counted(tmp_path):
    text = "# made by\n\n# a, script\narch,x\n\na,1\n#b,2\n,\narch,x\nc,3"
    table = read_table(written(tmp_path, text))
    assert cells(table) == [["a", "1"], ["c", "3"]]
    assert table.numbers == (6, 10)


def test_header_in_a_comment_as_numpy_writes_it(tmp_path):
    assert read_table(written(tmp_path, "# arch,x\na,1\nb,2\n")).header == ("arch", "x")
    assert cells(read_table(written(tmp_path, "# arch,x\na,1\nb,2\n"))) == [["a", "1"], ["b", "2"]]
    # a comment of another kind is none
    assert read_table(written(tmp_path, "# my first, second, third try\na,1\nb,2\n")).header == ("a", "1")
    assert read_table(written(tmp_path, "# arch,x\nname,y\nb,2\n")).header == ("name", "y")


def test_lines_of_quoted_cells_with_line_ends(tmp_path):
    path = written(tmp_path, 'arch,note\na,"one\ntwo"\nb,\n')
    assert read_table(path).numbers == (2, 4)


def test_commas_inside_brackets(tmp_path):
    table = read_table(written(tmp_path, "arch,x\n(4, 0, 3, 1, 4, 3),90\n[8, 16],91\nplain,92\n"))
    assert table.column("arch") == ["(4, 0, 3, 1, 4, 3)", "[8, 16]", "plain"]


def test_commas_inside_brackets_are_no_reason_to_look_for_other_separators(tmp_path):
    table = read_table(written(tmp_path, "arch,val accuracy\n[8, 16],90\n[8, 24],91\n"))
    assert cells(table) == [["[8, 16]", "90"], ["[8, 24]", "91"]]


def test_surplus_cells_that_are_empty(tmp_path):
    assert cells(read_table(written(tmp_path, "arch,x\na,1,\nb,2,,\n"))) == [["a", "1"], ["b", "2"]]
    assert read_table(written(tmp_path, "arch,x,\na,1,\n")).header == ("arch", "x", "")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("arch,x\na,1\n\nb,1,2\n", r"line 4 has 3 fields, the header has 2 \(commas between them\); quote"),
        ("arch;x\na;1\nb\n", r"line 3 has 1 fields, the header has 2 \(semicolons between .*cut short"),
        ('arch,x\na,1\n"b,2\nc,3\n', r"line 3 is no row of a table .*close its quotation marks"),
        ('arch,x\n"a"b,2\n', r"line 2 is no row of a table"),
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        (b"\x00\x01\x02\x03", "is no text; give a table"),
        (b"arch,x\na\x07,1\n", "is no text"),
        (b"\xff\xfea", "is no text"),
        (bz2.compress(b"arch,x\na,1\n"), "compressed in a way that is not read here; unpack it"),
        (lzma.compress(b"arch,x\na,1\n"), "compressed in a way that is not read here; unpack it"),
        (b"PK\x03\x04 rest of an archive", "a zip archive; unpack it"),
        (gzip.compress(b"arch,x\n" * 99, mtime=0)[:-9], "cut short or damaged"),
        (b"PAR1 and no more", "truncated or no Parquet file"),
        (b"ARROW1 and no more", "truncated or no Feather file"),
    ],
)
def test_damaged_text_is_one_line(tmp_path, text, match):
    refused(match, written(tmp_path, text))


def test_missing_files_and_folders(tmp_path):
    refused("no such file", tmp_path / "a.csv")
    (tmp_path / "f").mkdir()
    refused("a folder without .parquet files", tmp_path / "f")


# --- other formats ---------------------------------------------------------------------------


def test_parquet_with_the_architectures_in_its_index(tmp_path):
    TABLE.set_index("arch").to_parquet(tmp_path / "named.parquet")
    TABLE.set_index(pd.Index(ARCHS)).drop(columns="arch").to_parquet(tmp_path / "unnamed.parquet")
    TABLE.set_index(pd.Index([5, 7, 9])).to_parquet(tmp_path / "numbered.parquet")
    named, unnamed = read_table(tmp_path / "named.parquet"), read_table(tmp_path / "unnamed.parquet")
    assert named.column("arch") == unnamed.column("index") == ARCHS
    assert read_table(tmp_path / "numbered.parquet").header == ("arch", "top1", "note")
    assert (named.unit, named.numbers) == ("row", (1, 2, 3))
    assert named.floats("top1") == TABLE["top1"].tolist()


def test_folder_of_parquet_parts(tmp_path):
    for year, part in TABLE.assign(year=[1, 1, 2]).groupby("year"):
        (tmp_path / f"year={year}").mkdir()
        part.drop(columns="year").to_parquet(tmp_path / f"year={year}" / "part-0.parquet", index=False)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "read.me").write_text("x")
    (tmp_path / "_temporary.parquet").write_bytes(b"x")
    table = read_table(tmp_path)
    assert table.column("arch") == ARCHS
    assert table.column("year") == [1, 1, 2]
    part = tmp_path / "year=2" / "part-0.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(FusionError, match=r"year=2.part-0.parquet: truncated or no Parquet file") as raised:
        read_table(tmp_path)
    assert "delete" not in str(raised.value)


def test_folder_that_fusion_made(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "meta.json").write_text("{}")
    refused("a table that fusion made.*accuracies.parquet", tmp_path)


def test_truncated_parquet_never_says_to_delete_it(tmp_path):
    TABLE.to_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for content in (whole[:-20], whole[4:], b"arch,x\na,1\n"):
        path = written(tmp_path, content, "b.parquet")
        refused("truncated or no Parquet file.*fetch it again", path)
        with pytest.raises(FusionError) as raised:
            read_table(path)
        assert "delete" not in str(raised.value)


def test_damaged_page_of_a_parquet_file(tmp_path):
    frame = pd.DataFrame({"arch": [f"arch {i}" for i in range(999)], "x": np.arange(999.0)})
    path = tmp_path / "a.parquet"
    frame.to_parquet(path, write_page_checksum=True, compression=None)
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 255
    refused("truncated or no Parquet file", written(tmp_path, bytes(data), "b.parquet"))


@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_strings_that_are_no_text(tmp_path, name):
    table = pa.table({"arch": pa.array([b"a\xff"]).cast(pa.string(), safe=False)})
    if name.endswith("parquet"):
        pq.write_table(table, tmp_path / name)
    else:
        pa.feather.write_feather(table, tmp_path / name)
    refused("truncated or no (Parquet|Feather) file", tmp_path / name)


def test_feather(tmp_path):
    TABLE.to_feather(tmp_path / "a.feather")
    assert read_table(tmp_path / "a.feather").floats("top1") == TABLE["top1"].tolist()


@pytest.mark.parametrize("orient", ["records", "columns", "list"])
def test_json(tmp_path, orient):
    path = tmp_path / "a.json"
    TABLE.to_json(path, orient=orient) if orient != "list" else path.write_text(
        pd.Series(TABLE.to_dict("list")).to_json()
    )
    table = read_table(path)
    assert table.header == ("arch", "top1", "note")
    assert table.column("arch") == ARCHS
    assert table.floats("top1") == TABLE["top1"].tolist()


def test_json_of_numbers_by_architecture_and_lists(tmp_path):
    table = read_table(written(tmp_path, '{"a": 1.5, "b": null}', "a.json"))
    assert table.column("arch") == ["a", "b"]
    assert table.floats("accuracy")[0] == 1.5
    TABLE.set_index("arch")[["top1"]].to_json(tmp_path / "b.json")
    assert read_table(tmp_path / "b.json").column("index") == ARCHS
    table = read_table(written(tmp_path, '[{"arch": [8, 16], "x": 1}, {"arch": [8, 8]}]', "c.json"))
    assert table.column("arch") == [[8, 16], [8, 8]]
    assert math.isnan(table.floats("x")[1])


@pytest.mark.parametrize("text", ["[1, 2]", "3", "{}", '{"a": [1], "b": [1, 2]}', '{"a": [1], "b": 2}'])
def test_json_that_is_no_table(tmp_path, text):
    refused("no table; expected a list of records", written(tmp_path, text, "a.json"))


def test_damaged_json(tmp_path):
    refused("truncated or no JSON file", written(tmp_path, '[{"a": 1}', "a.json"))
    refused("truncated or no JSON file", written(tmp_path, "[" * 100_000, "a.json"))


def test_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame([["own table", None], [None, None], ["arch", "top1"], ["a", 90.5], ["b", None]])
    frame.iloc[2:].to_excel(tmp_path / "a.xlsx", header=False, index=False)
    table = read_table(tmp_path / "a.xlsx")
    assert (table.column("arch"), table.numbers, table.unit) == (["a", "b"], (2, 3), "row")
    assert table.floats("top1")[0] == 90.5
    frame.iloc[:0].to_excel(tmp_path / "b.xlsx", header=False, index=False)
    refused("the first sheet is empty", tmp_path / "b.xlsx")
    refused("no workbook, or damaged", written(tmp_path, b"PK\x03\x04 xl/workbook", "c.xlsx"))


def test_workbook_without_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "find_spec", lambda name: None)
    refused("a workbook; export the sheet as CSV", written(tmp_path, b"PK\x03\x04 xl/workbook", "a.xlsx"))
    refused("a workbook; export the sheet as CSV", written(tmp_path, b"\xd0\xcf\x11\xe0", "a.xls"))


def test_lines_of_a_list(tmp_path):
    path = written(tmp_path, "\ufeff# mine\n\n a b \r\n{1, 2}\n")
    assert read_lines(path) == [(3, "a b"), (4, "{1, 2}")]
    TABLE.to_parquet(tmp_path / "a.parquet")
    assert read_lines(tmp_path / "a.parquet") is None
    assert read_lines(tmp_path) is None


def test_a_file_is_opened_once(tmp_path, monkeypatch):
    path = written(tmp_path, "arch,x\na,1\n")
    opened, original = [], builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda file, *a, **k: opened.append(file) or original(file, *a, **k)
    )
    read_table(path)
    assert opened == [path]
