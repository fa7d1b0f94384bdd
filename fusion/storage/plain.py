"""Plain tables of other people's files: text in any common dialect, Parquet, Feather, JSON, Excel."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq

from fusion.errors import FusionError
from fusion.storage.dialect import decoded, meant_lines, text_rows
from fusion.storage.files import UNREADABLE, exists, files_below, is_folder, read_bytes

# what stands for a value that nobody measured
_EMPTY = {"", "-", "--", "?", "na", "n/a", "#n/a", "nan", "<na>", "null", "none"}
_NUMBER = re.compile(r"[+-]?(\d+(?P<point>[.,]\d*)?|(?P<bare>[.,]\d+))([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_SHOWN = 20  # columns that a message names


@dataclass(frozen=True)
class PlainTable:
    """A table as it lies in a file, and where in the file each row is.

    Attributes
    ----------
    path : Path
    frame : DataFrame
        The rows. Cells of a text file are strings without blanks around them; those of other formats
        are what the format has. Two columns may have one name.
    numbers : tuple of int
        Where each row is, from 1: the line of a text file, where it begins; else the row.
    unit : str
        What `numbers` count: "line" or "row".
    separator : str
        Between the cells of a line; empty where there are no lines.
    """

    path: Path
    frame: pd.DataFrame
    numbers: tuple[int, ...]
    unit: str
    separator: str = ""

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.frame.columns)

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column; raises FusionError where there is none, or several, of the name."""
        count = self.header.count(name)
        if count == 0:
            raise FusionError(f"{self.path}: no column {name!r}; there are: {self.names}")
        if count > 1:
            raise FusionError(f"{self.path}: {count} columns are named {name!r}; rename all but one")
        return list(self.frame.iloc[:, self.header.index(name)].tolist())

    @property
    def names(self) -> str:
        """The names of the columns, for messages."""
        more = f" and {len(self.header) - _SHOWN} more" if len(self.header) > _SHOWN else ""
        return ", ".join(name or "(no name)" for name in self.header[:_SHOWN]) + more

    def where(self, rows: Sequence[int], shown: int = 3) -> str:
        """Return where rows of the frame are in the file, such as `lines 4, 9, 17 and 9 more`."""
        first = ", ".join(str(self.numbers[row]) for row in rows[:shown])
        more = f" and {len(rows) - shown} more" if len(rows) > shown else ""
        return f"{self.unit}{'s' if len(rows) > 1 else ''} {first}{more}"

    def floats(self, name: str) -> list[float]:
        """Return a column as numbers, NaN where a cell says that there is none.

        A percent sign is dropped. A decimal comma is read where the comma does not separate cells.

        Raises
        ------
        FusionError
            When a cell holds anything else, or the cells of the column are not written alike: some with
            a percent sign and some without, or some with a decimal comma and some with a point.
        """
        values, bad = [], []
        percent: dict[bool, int] = {}
        decimal: dict[str, int] = {}
        cells = self.column(name)
        for row, cell in enumerate(cells):
            value, mark, sign = _number(cell, comma=self.separator not in ("", ","))
            values.append(value)
            if mark is None:
                bad.append(row)
            elif not np.isnan(value):
                percent.setdefault(sign, row)
                decimal.setdefault(mark, row)
        where = f"{self.path}: column {name!r}"
        if bad:
            raise FusionError(
                f"{where} has {len(bad)} of {len(cells)} values that are no finite number, first "
                f"{cells[bad[0]]!r} in {self.where(bad[:1])}; correct these rows, or leave their value empty"
            )
        if len(percent) > 1:
            raise FusionError(
                f"{where} has numbers with a percent sign ({self.where([percent[True]])}) and without "
                f"({self.where([percent[False]])}); write all alike"
            )
        if {".", ","} <= decimal.keys():
            raise FusionError(
                f"{where} has numbers with a decimal comma ({self.where([decimal[',']])}) and with a point "
                f"({self.where([decimal['.']])}); write all alike"
            )
        return values


def _number(cell: Any, *, comma: bool) -> tuple[float, str | None, bool]:
    """Return the number in a cell, its decimal mark (None: the cell holds no number), whether in percent."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return np.nan, "", False
    if isinstance(cell, (bool, np.bool_)):
        return np.nan, None, False
    if not isinstance(cell, str):
        try:
            value = float(cell)
        except (TypeError, ValueError, OverflowError):
            return np.nan, None, False
        return value, None if np.isinf(value) else "", False
    if cell.strip().lower() in _EMPTY:
        return np.nan, "", False
    text = cell.strip()
    percent = text.endswith("%")
    match = _NUMBER.fullmatch(text.removesuffix("%").rstrip())
    if match is None:
        return np.nan, None, False
    mark = (match["point"] or match["bare"] or "")[:1]
    value = float(match[0].replace(",", "."))
    if np.isinf(value) or (mark == "," and not comma):
        return np.nan, None, False
    return value, mark, percent


def is_number(cell: Any) -> bool:
    """Return whether a cell holds a number, in any notation, infinite ones included."""
    value, mark, _ = _number(cell, comma=True)
    return not np.isnan(value) or (mark is None and bool(_INFINITE.fullmatch(str(cell).strip())))


def _content(path: Path) -> tuple[str, bytes]:
    """Return what kind of file lies at `path`, by its first bytes or else by its name, and its bytes."""
    data = read_bytes(path)
    name = path.name.lower()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise FusionError(
                f"{path}: cut short or damaged; fetch it again, or write it once more"
            ) from None
        name = name.removesuffix(".gz")
    if data.startswith((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise FusionError(f"{path}: compressed in a way that is not read here; unpack it, or use gzip")
    if not data.strip():
        raise FusionError(f"{path}: the file is empty; give a table with a header")
    for start, kind in ((b"PAR1", "parquet"), (b"ARROW1", "feather")):
        if data.startswith(start):
            return kind, data
    if data.startswith(b"PK\3\4"):
        if b"xl/workbook" not in data:
            raise FusionError(f"{path}: a zip archive; unpack it and give the table in it")
        return "xlsx", data
    suffix = name.rpartition(".")[2]
    return (suffix if suffix in ("parquet", "feather", "json", "xlsx", "xls") else "text"), data


def read_table(path: Path | str) -> PlainTable:
    """Return the table in a file.

    Text (.csv, .tsv, .txt, also in .gz): cells between commas, semicolons, tabs or blanks, whichever the
    lines have in common, below a header. UTF-8 or UTF-16 with a byte order mark, UTF-8, or else Windows'
    Latin. Blank lines, lines that begin with # and repetitions of the header are passed over. Parquet
    (.parquet, or a folder of such files), .feather, .json (a list of records, or columns), and .xlsx
    where the package openpyxl is there.

    Raises
    ------
    FusionError
        When the file is missing, empty, cut short or of another kind; one line that says what to do.
    """
    path = Path(path).expanduser()
    if is_folder(path):
        return _framed(path, _read_parts(path))
    kind, data = _content(path)
    if kind == "text":
        header, rows, separator = text_rows(path, decoded(path, data))
        return _rowwise(path, header, rows, "line", separator)
    if kind in ("xlsx", "xls"):
        return _read_excel(path, data)
    if kind == "json":
        return _framed(path, _read_json(path, data))
    try:
        if kind == "feather":
            found = pyarrow.feather.read_table(pa.BufferReader(data))
        else:
            # the footer's own checks do not notice a column chunk cut short, so read it all here
            source = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            found = source.read()
        found.validate(full=True)  # strings that are no text
        frame = found.to_pandas()
    except UNREADABLE as error:
        raise _damaged(path, kind.capitalize(), error) from None
    return _framed(path, frame)


def read_lines(path: Path | str) -> list[tuple[int, str]] | None:
    """Return the lines of a text file that are neither blank nor begin with #, with their numbers.

    None for a file of another kind, or a folder.
    """
    path = Path(path).expanduser()
    if is_folder(path):
        return None
    kind, data = _content(path)
    return meant_lines(decoded(path, data)) if kind == "text" else None


def _framed(path: Path, frame: pd.DataFrame) -> PlainTable:
    """Return a table of whole rows; an index that the writer named, or that holds text, is a column."""
    named = any(name is not None for name in frame.index.names)
    if named or isinstance(frame.index, pd.MultiIndex) or pd.api.types.is_string_dtype(frame.index.dtype):
        frame = frame.reset_index()
    frame.columns = [str(name).strip() for name in frame.columns]
    return PlainTable(path, frame, tuple(range(1, len(frame) + 1)), "row")


def _read_parts(path: Path) -> pd.DataFrame:
    """Return the rows of the Parquet files in a folder, with the columns that folders named a=b give."""
    if exists(path / "meta.json") and is_folder(path / "parts"):
        raise FusionError(
            f"{path}: a table that fusion made, not one of accuracies; give a file, such as the "
            "accuracies.parquet that `fusion measure` writes"
        )
    parts = [
        file
        for file in files_below(path)
        if file.suffix.lower() == ".parquet"
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    if not parts:
        raise FusionError(f"{path}: a folder without .parquet files; give a table")
    for part in parts:
        try:
            pq.read_metadata(part)
        except UNREADABLE as error:
            raise _damaged(part, "Parquet", error) from None
    try:
        found = ds.dataset(
            [str(part) for part in parts],
            format="parquet",
            partitioning=ds.partitioning(flavor="hive"),
            partition_base_dir=str(path),
        ).to_table()
        found.validate(full=True)
        frame: pd.DataFrame = found.to_pandas()
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise FusionError(f"{path}: the files in it are no one table ({reason}); give one file") from None
    return frame


def _damaged(path: Path, kind: str, error: Exception) -> FusionError:
    reason = " ".join(str(error).split())
    return FusionError(
        f"{path}: truncated or no {kind} file ({reason}); fetch it again, or write it once more"
    )


def _read_json(path: Path, data: bytes) -> pd.DataFrame:
    """Return records, columns (each a list, or by row as pandas writes them), or numbers by architecture."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "JSON", error) from None
    if isinstance(content, list) and content and all(isinstance(record, dict) for record in content):
        names = list(dict.fromkeys(name for record in content for name in record))
        return pd.DataFrame({name: _cells([one.get(name) for one in content]) for name in names})
    columns = list(content.values()) if isinstance(content, dict) else []
    if columns and not any(isinstance(column, (dict, list)) for column in columns):
        return pd.DataFrame({"arch": _cells(list(content)), "accuracy": _cells(columns)})
    if columns and all(isinstance(column, dict) for column in columns):
        rows = list(dict.fromkeys(row for column in columns for row in column))
        frame = pd.DataFrame({name: _cells([content[name].get(row) for row in rows]) for name in content})
        # pandas numbers the rows where its table had no other names for them
        return frame if rows == [str(i) for i in range(len(rows))] else frame.set_axis(rows)
    if columns and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return pd.DataFrame({name: _cells(content[name]) for name in content})
    raise FusionError(f"{path}: no table; expected a list of records, or an object of columns of one length")


def _cells(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype=object)


def _read_excel(path: Path, data: bytes) -> PlainTable:
    if find_spec("openpyxl") is None or not data.startswith(b"PK"):
        raise FusionError(f"{path}: a workbook; export the sheet as CSV, or install openpyxl to read .xlsx")
    try:
        sheet = pd.read_excel(io.BytesIO(data), header=None, dtype=object, engine="openpyxl")
    except Exception:  # a zip archive of anything
        raise FusionError(f"{path}: no workbook, or damaged; export the sheet as CSV") from None
    cells = [[None if pd.isna(cell) else cell for cell in row] for row in sheet.to_numpy().tolist()]
    rows = [(i, row) for i, row in enumerate(cells, start=1) if any(cell is not None for cell in row)]
    if not rows:
        raise FusionError(f"{path}: the first sheet is empty; give a table with a header")
    (_, head), *body = rows
    return _rowwise(path, ["" if cell is None else str(cell).strip() for cell in head], body, "row")


def _rowwise(
    path: Path, header: list[str], rows: list[tuple[int, list[Any]]], unit: str, separator: str = ""
) -> PlainTable:
    frame = pd.DataFrame([row for _, row in rows], columns=header, dtype=object)
    return PlainTable(path, frame, tuple(number for number, _ in rows), unit, separator)
