"""What people have as a table of accuracies: each way is read as meant, or answered with one line."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.spaces import make_space
from fusion.tables import read_accuracies, read_archs
from tests.spaces.test_notations import CELL

SPACE = make_space("nats-tss")
A, B, C = SPACE.sample(3, seed=0)
NUMBERS = {arch: list(SPACE.enumerate()).index(arch) for arch in (A, B, C)}
PLAIN = f"arch,accuracy\n{A},93.63\n{B},90.5\n{C},88\n"
MEANT = {A: 93.63, B: 90.5, C: 88.0}

# name -> (name of the file, content, keyword arguments, accuracies)
READ = {
    "plain": ("a.csv", PLAIN, {}, MEANT),
    "upper-case suffix": ("a.CSV", PLAIN, {}, MEANT),
    "text suffix": ("a.txt", PLAIN, {}, MEANT),
    "tabs": ("a.tsv", PLAIN.replace(",", "\t"), {}, MEANT),
    "tabs in a .csv": ("a.csv", PLAIN.replace(",", "\t"), {}, MEANT),
    "semicolons": ("a.csv", PLAIN.replace(",", ";"), {}, MEANT),
    "semicolons with decimal commas": ("a.csv", PLAIN.replace(",", ";").replace(".", ","), {}, MEANT),
    "tabs with decimal commas": ("a.csv", PLAIN.replace(",", "\t").replace(".", ","), {}, MEANT),
    "blanks between": ("a.txt", PLAIN.replace(",", "   "), {}, MEANT),
    "sep= of a spreadsheet": ("a.csv", "sep=;\n" + PLAIN.replace(",", ";"), {}, MEANT),
    "byte order mark": ("a.csv", "\ufeff" + PLAIN, {}, MEANT),
    "utf-16 of a spreadsheet": ("a.csv", PLAIN.replace(",", "\t").encode("utf-16"), {}, MEANT),
    "utf-16 without a mark": ("a.csv", PLAIN.encode("utf-16-le"), {}, MEANT),
    "latin-1": ("a.csv", PLAIN.replace("\n", ",é\n").replace("cy,é", "cy,né").encode("latin-1"), {}, MEANT),
    "line ends of Windows": ("a.csv", PLAIN.replace("\n", "\r\n"), {}, MEANT),
    "line ends of old Macs": ("a.csv", PLAIN.replace("\n", "\r"), {}, MEANT),
    "no line end at the end": ("a.csv", PLAIN.rstrip(), {}, MEANT),
    "blank lines": ("a.csv", "\n" + PLAIN.replace("\n", "\n\n"), {}, MEANT),
    "rows of commas below": ("a.csv", PLAIN + ",\n,\n", {}, MEANT),
    "comments first": ("a.csv", "# ours, of May\n#\n" + PLAIN, {}, MEANT),
    "header in a comment": ("a.csv", "# " + PLAIN, {}, MEANT),
    "blank after the comma": ("a.csv", PLAIN.replace(",", ", "), {}, MEANT),
    "blanks around": ("a.csv", PLAIN.replace(",", " ,  ").replace("\n", "  \n"), {}, MEANT),
    "blank after an architecture": ("a.csv", PLAIN.replace("|,", "| ,"), {}, MEANT),
    "quotes": ("a.csv", '"arch","accuracy"\n' + f'"{A}","93.63"\n"{B}","90.5"\n"{C}","88"\n', {}, MEANT),
    "quotes with a line end inside": ("a.csv", PLAIN.replace(A, f'"{A}\n"'), {}, MEANT),
    "trailing commas": ("a.csv", PLAIN.replace("\n", ",\n"), {}, MEANT),
    "trailing commas in the rows alone": (
        "a.csv",
        PLAIN.replace("\n", ",\n").replace("cy,", "cy"),
        {},
        MEANT,
    ),
    "unnamed index column": ("a.csv", pd.read_csv(pd.io.common.StringIO(PLAIN)).to_csv(), {}, MEANT),
    "a pandas Series": ("a.csv", pd.Series(MEANT, name="accuracy").to_csv(), {}, MEANT),
    "header twice": ("a.csv", PLAIN + PLAIN.replace("88", "88.0"), {}, MEANT),
    "other columns": ("a.csv", f'arch,note,accuracy\n{A},"x, y",93.63\n{B},,90.5\n{C},-,88\n', {}, MEANT),
    "capitals in the header": ("a.csv", PLAIN.replace("arch,acc", "Arch,Acc"), {}, MEANT),
    "architecture": ("a.csv", PLAIN.replace("arch,", "architecture,"), {}, MEANT),
    "arch_str": ("a.csv", PLAIN.replace("arch,", "arch_str,"), {}, MEANT),
    "a column of another name": ("a.csv", PLAIN.replace("arch,", "cell,"), {"arch_column": "cell"}, MEANT),
    "another accuracy": ("a.csv", PLAIN.replace("accuracy", "top1"), {"column": "top1"}, MEANT),
    "percent signs": ("a.csv", f"arch,accuracy\n{A},93.63%\n{B},90.5 %\n{C},88%\n", {}, MEANT),
    "exponents": ("a.csv", f"arch,accuracy\n{A},9.363e1\n{B},+90.5\n{C},88.\n", {}, MEANT),
    "fractions are kept": ("a.csv", f"arch,accuracy\n{A},.9363\n", {}, {A: 0.9363}),
    "upper case": ("a.csv", PLAIN.replace(A, A.upper()), {}, MEANT),
    "official numbers": (
        "a.csv",
        "index,accuracy\n" + "".join(f"{NUMBERS[arch]},{y}\n" for arch, y in MEANT.items()),
        {},
        MEANT,
    ),
    "official numbers as floats": ("a.csv", f"arch,accuracy\n{NUMBERS[A]}.0,93.63\n", {}, {A: 93.63}),
    "tuples of NASLib": (
        "a.csv",
        'arch,accuracy\n"(4, 0, 3, 1, 4, 3)",93.63\n',
        {},
        {SPACE.read("(4, 0, 3, 1, 4, 3)"): 93.63},
    ),
    "tuples without quotes": (
        "a.csv",
        "arch,accuracy\n(4, 0, 3, 1, 4, 3),93.63\n[0, 0, 0, 0, 0, 0],10\n",
        {},
        {SPACE.read("(4, 0, 3, 1, 4, 3)"): 93.63, SPACE.read("(0, 0, 0, 0, 0, 0)"): 10.0},
    ),
    "several rows": ("a.csv", PLAIN + f"{A},92.63\n", {}, {**MEANT, A: 93.13}),
    "a row repeated": ("a.csv", PLAIN + f"{A},93.63\n", {}, MEANT),
    "rows without a value": ("a.csv", PLAIN + f"{SPACE.sample(4, seed=0)[3]},\n", {}, MEANT),
    "values that nobody measured": ("a.csv", PLAIN.replace("88", "n/a"), {}, {A: 93.63, B: 90.5}),
    "a mean below": ("a.csv", PLAIN + "\n,\nmean of all,\n", {}, MEANT),
    "compressed": ("a.csv.gz", gzip.compress(PLAIN.encode()), {}, MEANT),
    "compressed tabs": ("a.tsv.gz", gzip.compress(PLAIN.replace(",", "\t").encode()), {}, MEANT),
    "JSON records": (
        "a.json",
        pd.read_csv(pd.io.common.StringIO(PLAIN)).to_json(orient="records"),
        {},
        MEANT,
    ),
    "JSON columns": ("a.json", pd.read_csv(pd.io.common.StringIO(PLAIN)).to_json(), {}, MEANT),
    "JSON by architecture": ("a.json", json.dumps(MEANT), {}, MEANT),
    "errors": (
        "a.csv",
        PLAIN.replace("accuracy", "error"),
        {"column": "error", "lower_is_better": True},
        {arch: -y for arch, y in MEANT.items()},
    ),
}

# name -> (name of the file, content, keyword arguments, the answer)
ANSWERED = {
    "no header": (
        "a.csv",
        PLAIN.partition("\n")[2],
        {},
        "a.csv: the header is missing, the first row is already one of values; write the names",
    ),
    "no header, numbers": ("a.csv", "12839,93.63\n7,90\n", {}, "a.csv: the header is missing"),
    "no column of that name": (
        "a.csv",
        PLAIN,
        {"column": "test"},
        r"a.csv: no column 'test'; there are: arch, accuracy$",
    ),
    "no column of architectures": (
        "a.csv",
        PLAIN.replace("arch,", "cell,"),
        {},
        r"a.csv: no column 'arch'; there are: cell, accuracy; name the one of the arch.* \(--arch-column",
    ),
    "a column that counts rows": (
        "a.csv",
        "index,cell,accuracy\n" + "".join(f"{i},{arch},{y}\n" for i, (arch, y) in enumerate(MEANT.items())),
        {},
        r"a.csv: column 'index' seems to count the rows; name .*there are: index, cell, accuracy",
    ),
    "two columns of one name": (
        "a.csv",
        f"arch,accuracy,accuracy\n{A},1,2\n",
        {},
        "a.csv: 2 columns are named 'accuracy'; rename all but one",
    ),
    "text for a number": (
        "a.csv",
        PLAIN.replace("90.5", "high"),
        {},
        "a.csv: column 'accuracy' has 1 of 3 values that are no finite number, first 'high' in line 3;",
    ),
    "infinite": ("a.csv", PLAIN.replace("90.5", "inf"), {}, "first 'inf' in line 3"),
    "a number with its deviation": (
        "a.csv",
        PLAIN.replace("90.5", "90.5 ± 0.2"),
        {},
        "'90.5 ± 0.2' in line 3",
    ),
    "decimal commas between commas": ("a.csv", PLAIN.replace("90.5", '"90,5"'), {}, "first '90,5' in line 3"),
    "decimal commas between commas, unquoted": (
        "a.csv",
        PLAIN.replace("93.63", "93,63"),
        {},
        r"a.csv: line 2 has 3 fields, the header has 2 \(commas between them\); quote a cell that holds one",
    ),
    "percent signs here and there": (
        "a.csv",
        PLAIN.replace("90.5", "90.5%"),
        {},
        r"percent sign \(line 3\) and without \(line 2\); write all alike",
    ),
    "cut short": (
        "a.csv",
        PLAIN[:-4],
        {},
        r"a.csv: line 4 has 1 fields, the header has 2 \(commas between them\); the file may be cut short",
    ),
    "a quotation mark left open": (
        "a.csv",
        PLAIN.replace(B, f'"{B}'),
        {},
        r"a.csv: line 3 is no row of a table \(.*\); close its quotation marks",
    ),
    "an architecture of another space": (
        "a.csv",
        PLAIN + "8:16:32:48:64,90\n",
        {},
        r"a.csv, line 5: '8:16:32:48:64' is no nats-tss architecture; expected \|op~0",
    ),
    "a bad row after a repeated one": (
        "a.csv",
        f"arch,accuracy\n{A},90\n{A},90\n{A},90\noops,90\n",
        {},
        "a.csv, line 5: 'oops' is no nats-tss architecture",
    ),
    "many bad rows": (
        "a.csv",
        PLAIN + "".join(f"x{i},{i}\n" for i in range(9)),
        {},
        r"a.csv, line 5: 'x0' is no .*; likewise line 6 'x1', line 7 'x2', line 8 'x3' and 5 more$",
    ),
    "a value without an architecture": (
        "a.csv",
        PLAIN + ",90\n",
        {},
        "a.csv, line 5: '' in column 'arch' where",
    ),
    "numbers beyond the space": (
        "a.csv",
        "arch,accuracy\n15625,90\n",
        {},
        "official numbers of nats-tss are 0",
    ),
    "hashes": (
        "a.csv",
        f"hash,accuracy\n{'0f' * 16},90\n",
        {"space": make_space("nas-bench-101")},
        "is the hash of a cell, .* the columns adj_upper and ops",
    ),
    "a header and no rows": ("a.csv", "arch,accuracy\n", {}, "a.csv: the table has no rows"),
    "no value at all": (
        "a.csv",
        f"arch,accuracy\n{A},\n",
        {},
        "a.csv: the table has no value in column 'accur",
    ),
    "empty": ("a.csv", "", {}, "a.csv: the file is empty; give a table with a header"),
    "an old workbook": (
        "a.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1",
        {},
        "a.xls: a workbook; export the sheet as CSV",
    ),
    "an archive": (
        "a.csv.zip",
        b"PK\x03\x04 more",
        {},
        "a.csv.zip: a zip archive; unpack it and give the table",
    ),
    "bytes": ("a.csv", bytes(range(256)), {}, "a.csv: is no text; give a table as CSV or Parquet"),
    "a Parquet file cut short": (
        "a.parquet",
        b"PAR1 and",
        {},
        "a.parquet: truncated .*; fetch it again, or wri",
    ),
}


def test_there_are_at_least_45_ways():
    assert len(READ) + len(ANSWERED) >= 45


def save(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("way", READ)
def test_read_as_meant(tmp_path, way):
    name, content, options, meant = READ[way]
    path = save(tmp_path, name, content)
    assert read_accuracies(path, SPACE, **options).by_arch.to_dict() == meant
    assert set(meant) <= set(read_archs(path, SPACE, arch_column=options.get("arch_column")).archs)


@pytest.mark.parametrize("way", ANSWERED)
def test_answered_with_one_line(tmp_path, way):
    name, content, options, answer = ANSWERED[way]
    with pytest.raises(FusionError, match=answer) as raised:
        read_accuracies(save(tmp_path, name, content), **{"space": SPACE, **options})
    text = str(raised.value)
    assert "\n" not in text
    assert name in text
    assert "delete" not in text


def test_folder_of_parquet_parts(tmp_path):
    frame = pd.DataFrame({"arch": list(MEANT), "accuracy": list(MEANT.values())})
    (tmp_path / "own.parquet").mkdir()
    frame[:2].to_parquet(tmp_path / "own.parquet" / "part-0.parquet")
    frame[2:].to_parquet(tmp_path / "own.parquet" / "part-1.parquet")
    assert read_accuracies(tmp_path / "own.parquet", SPACE).by_arch.to_dict() == MEANT


def test_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    pd.DataFrame({"arch": list(MEANT), "accuracy": list(MEANT.values())}).to_excel(tmp_path / "a.xlsx")
    assert read_accuracies(tmp_path / "a.xlsx", SPACE).by_arch.to_dict() == MEANT


def test_widths_as_lists(tmp_path):
    sizes = make_space("nats-sss")
    text = 'arch,accuracy\n"[8, 16, 32, 48, 64]",1\n8-16-32-48-56,2\n(8, 16, 32, 48, 48),3\n8:16:32:48:40,4\n'
    found = read_accuracies(save(tmp_path, "a.csv", text), sizes).by_arch
    assert found.to_dict() == {
        f"8:16:32:48:{last}": y for last, y in zip((64, 56, 48, 40), range(1, 5), strict=True)
    }


def test_hashes_beside_what_they_stand_for(tmp_path):
    cells, (bits, ops) = make_space("nas-bench-101"), CELL.split(":")
    path = save(
        tmp_path, "a.csv", f"hash,adj_upper,ops,accuracy\n{'0f' * 16},{bits},{ops},90\n{'1f' * 16},1,,80\n"
    )
    for column in (None, "hash"):
        assert read_accuracies(path, cells, arch_column=column).by_arch.to_dict() == {CELL: 90.0, "1:": 80.0}
    assert read_archs(path, cells).archs == (CELL, "1:")


def test_hashes_that_the_benchmark_knows(tmp_path):
    path = save(tmp_path, "a.csv", f"hash,accuracy\n{'0F' * 16},90\n")
    found = read_accuracies(path, make_space("nas-bench-101"), hashes={"0f" * 16: CELL})
    assert found.by_arch.to_dict() == {CELL: 90.0}
