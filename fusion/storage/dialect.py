"""The text of a table as other programs write it: its encoding, what separates its cells, its header."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from fusion.errors import FusionError

# in the order in which they are tried; `|` is part of architecture strings
_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "blanks"}
# stands for the separator of a table of one column; no text that is read holds it
_NONE = "\x1f"
_LOOKED_AT = 50  # lines


def decoded(path: Path, data: bytes) -> str:
    """Return the text of a file, its line ends all line feeds.

    UTF-8 or UTF-16, with a byte order mark or without, or else Windows' Latin.

    Raises
    ------
    FusionError
        When the bytes are no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data[:2]:
        encodings = ["utf-16-be" if data[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1f]", text):
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise FusionError(f"{path}: is no text; give a table as CSV or Parquet, or a text file of architectures")


def meant_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that are neither blank nor begin with #, stripped, and their numbers from 1."""
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def text_rows(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Take a table's text apart.

    Blank lines, lines that begin with #, repetitions of the header, and empty cells beyond those of the
    header are passed over. Where the first line has a number for a name, the comment above it is the header
    if it has as many cells, as numpy writes it.

    Returns
    -------
    header : list of str
    rows : list of (int, list of str)
        The line in which the row begins, and its cells, as many as the header's, without blanks around them.
    separator : str
        Between the cells; empty for a table of one column.

    Raises
    ------
    FusionError
        When a row has more or fewer cells than the header, or a quotation mark is not closed.
    """
    lines = text.split("\n")
    declared = re.fullmatch(r"sep=(.)\s*", lines[0])  # as Excel reads it
    if declared:
        lines[0] = ""
    comments = {number for number, line in enumerate(lines) if line.lstrip().startswith("#")}
    table = ["" if number in comments else line for number, line in enumerate(lines)]
    first = next((number for number, line in enumerate(table) if line.strip()), None)
    if first is None:
        raise FusionError(f"{path}: the file is empty; give a table with a header")
    separator = declared[1] if declared else _separator(table)
    (_, header), *rows = found = _split(path, table, separator)
    above = lines[first - 1].lstrip().lstrip("#") if first - 1 in comments else ""
    if above and any(re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?%?", cell) for cell in header):
        named = [cell.strip() for cell in above.split(separator or _NONE)]
        if len(named) == len(header):
            header, rows = named, found
    whole = []
    for number, row in rows:
        cells = row if any(row[len(header) :]) else row[: len(header)]
        if len(cells) > len(header):
            cells = _closed(cells)
        if len(cells) != len(header):
            hint = "quote a cell that holds one" if len(cells) > len(header) else "the file may be cut short"
            raise FusionError(
                f"{path}: line {number} has {len(cells)} fields, the header has {len(header)} "
                f"({_SEPARATORS.get(separator, repr(separator))} between them); {hint}"
            )
        if cells != header:
            whole.append((number, cells))
    return header, whole, separator


def _closed(cells: list[str]) -> list[str]:
    """Return the cells with those joined again that a separator inside brackets took apart."""
    joined: list[str] = []
    for cell in cells:
        if joined and joined[-1][:1] in ("(", "[") and joined[-1][-1:] not in (")", "]"):
            joined[-1] += f", {cell}"
        else:
            joined.append(cell)
    return joined


def _separator(lines: list[str]) -> str:
    """Return what gives all of the first lines equally many cells, more than one.

    Where nothing does, what gives the header most, so that the line that has others can be named; empty
    where nothing takes the header apart.
    """
    looked_at = [line for line in lines if line.strip()][:_LOOKED_AT]
    widths = {}
    for separator in _SEPARATORS:
        found = [line.strip() if separator == " " else line for line in looked_at]
        try:
            rows = list(csv.reader(found, delimiter=separator, skipinitialspace=True))
        except csv.Error:  # told, with its line, when the table is read
            rows = [[""]]
        widths[separator] = [len(_closed(row)) for row in rows]
        if min(widths[separator]) == max(widths[separator]) > 1:
            return separator
    best = max((",", ";", "\t"), key=lambda separator: widths[separator][0])
    return best if widths[best][0] > 1 else ""


def _split(path: Path, lines: list[str], separator: str) -> list[tuple[int, list[str]]]:
    """Return the cells of the rows that are not blank, and the line in which each begins."""
    text = "\n".join(line.strip() if separator == " " else line for line in lines)
    reader = csv.reader(io.StringIO(text), delimiter=separator or _NONE, skipinitialspace=True, strict=True)
    rows = []
    start = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise FusionError(
            f"{path}: line {start} is no row of a table ({error}); close its quotation marks"
        ) from None
    return rows
