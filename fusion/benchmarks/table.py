"""Accuracies and lists of architectures from plain files: Parquet, CSV, text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.benchmarks.base import BENCHMARKS, Benchmark
from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces.base import Space
from fusion.storage.files import read_parquet

ARCH_COLUMN = "arch"


@dataclass(frozen=True)
class _Table:
    """Columns of a file, and where in the file each row is."""

    path: Path
    header: list[str]
    columns: list[list[Any]]
    numbers: list[int]
    unit: str  # what `numbers` count: "line" of a CSV, "row" of a Parquet file

    def column(self, name: str) -> list[Any]:
        count = self.header.count(name)
        if count == 0:
            raise FusionError(f"{self.path}: no column {name!r}; there are: {', '.join(self.header)}")
        if count > 1:
            raise FusionError(f"{self.path}: {count} columns are named {name!r}; rename all but one")
        return self.columns[self.header.index(name)]

    def architectures(self, column: str) -> list[str]:
        archs = self.column(column)
        for arch, number in zip(archs, self.numbers, strict=True):
            if not isinstance(arch, str) or not arch.strip():
                raise FusionError(
                    f"{self.path}: {self.unit} {number} has {arch!r} in column {column!r} where an "
                    "architecture string is expected"
                )
        if not archs:
            raise FusionError(f"{self.path}: the table has no rows; give one with architectures")
        return archs


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FusionError(f"{path}: no such file") from None
    except OSError as error:
        raise FusionError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FusionError(f"{path}: is no UTF-8 text; give a .csv, a .parquet or a text file") from None


def _read_csv(path: Path) -> _Table:
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(io.StringIO(_read_text(path)), strict=True)
    try:
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if rows and len(row) != len(rows[0]):
                raise FusionError(
                    f"{path}: line {reader.line_num} has {len(row)} fields, the header has {len(rows[0])}; "
                    "the file may be cut short"
                )
            rows.append(row)
            numbers.append(reader.line_num)
    except csv.Error as error:
        raise FusionError(f"{path}: line {reader.line_num} is no CSV ({error})") from None
    if not rows:
        raise FusionError(f"{path}: the file is empty; give a table with a header")
    header, *body = rows
    columns: list[list[Any]] = [[row[i] for row in body] for i in range(len(header))]
    return _Table(path, header, columns, numbers[1:], "line")


def _read_table(path: Path) -> _Table:
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    if path.suffix.lower() != ".parquet":
        raise FusionError(f"{path}: the name must end in .parquet or .csv")
    frame = read_parquet(path)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()  # `arch` was the index when the file was written
    columns = [frame.iloc[:, i].tolist() for i in range(frame.shape[1])]
    return _Table(path, [str(name) for name in frame.columns], columns, list(range(1, len(frame) + 1)), "row")


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def read_accuracies(path: Path | str, column: str, arch_column: str = ARCH_COLUMN) -> pd.Series[float]:
    """Return one column of measured accuracies.

    Parameters
    ----------
    path : Path
        A table whose name ends in .parquet or .csv (comma-separated with a header).
    column : str
        The column of accuracies; their unit is kept as it is.
    arch_column : str
        The column of architecture strings.

    Returns
    -------
    Series of float64
        Named `column`; the index `arch` is the architecture strings as in the file. A row that
        repeats another in both is dropped.

    Raises
    ------
    FusionError
        When the file is missing, unreadable, cut short or empty, lacks a column, has an accuracy
        that is no finite number, or two different accuracies of one architecture.
    """
    table = _read_table(Path(path))
    archs = table.architectures(arch_column)
    values = [_number(value) for value in table.column(column)]
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        first = bad[0]
        raise FusionError(
            f"{path}: column {column!r} has {len(bad)} of {len(values)} values that are no finite number, "
            f"first {table.column(column)[first]!r} in {table.unit} {table.numbers[first]} "
            f"({archs[first]}); remove or correct these rows"
        )
    seen: dict[str, int] = {}
    for i, arch in enumerate(archs):
        j = seen.setdefault(arch, i)
        if values[j] != values[i]:
            raise FusionError(
                f"{path}: {arch} has two accuracies in column {column!r}, {values[j]} in {table.unit} "
                f"{table.numbers[j]} and {values[i]} in {table.unit} {table.numbers[i]}; keep one"
            )
    kept = list(seen.values())
    return pd.Series(
        [values[i] for i in kept],
        index=pd.Index([archs[i] for i in kept], name=ARCH_COLUMN),
        name=column,
        dtype="float64",
    )


def read_archs(path: Path | str) -> tuple[list[str], list[int]]:
    """Return architectures and where each is in the file.

    Parameters
    ----------
    path : Path
        A .csv or .parquet with a column `arch`, or any other text file with one architecture per
        line. Blank lines are skipped.

    Returns
    -------
    archs : list of str
        The architectures in the file's order, repeats included.
    numbers : list of int
        The line of each, from 1 (the header of a CSV is line 1); of a Parquet file the row, from 1.

    Raises
    ------
    FusionError
        When the file is missing, unreadable or empty, or lacks the column.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".parquet"):
        table = _read_table(path)
        return [arch.strip() for arch in table.architectures(ARCH_COLUMN)], table.numbers
    lines = [(line.strip(), number) for number, line in enumerate(_read_text(path).split("\n"), start=1)]
    found = [(arch, number) for arch, number in lines if arch]
    if not found:
        raise FusionError(f"{path}: holds no architecture; write one per line")
    return [arch for arch, _ in found], [number for _, number in found]


def to_keys(accuracies: pd.Series[float], space: Space) -> pd.Series[float]:
    """Return the accuracies by canonical key: the mean over strings that build the same network.

    Parameters
    ----------
    accuracies : Series
        Accuracies; the index is architecture strings of `space`.
    space : Space
        The space that makes keys of them.

    Returns
    -------
    Series of float64
        Index `key`, in order of first appearance.

    Raises
    ------
    InvalidArchitecture
        For a string that is not of the space; the message starts with its row, from 1.
    """
    keys = []
    for row, arch in enumerate(accuracies.index, start=1):
        try:
            keys.append(space.canonical(arch))
        except InvalidArchitecture as error:
            raise InvalidArchitecture(f"accuracies, row {row}: {error}") from None
    return accuracies.groupby(pd.Index(keys, name="key"), sort=False).mean()


@BENCHMARKS.register
class Table(Benchmark):
    """One column of a Parquet or CSV table; its unit is kept as it is.

    Parameters
    ----------
    path : Path or str
    column, arch_column : str
        As in `read_accuracies`.
    """

    name = "table"
    summary = "a Parquet or CSV table with a column of architectures and columns of accuracies"
    source = "yours"

    def __init__(self, path: Path | str, column: str = "accuracy", arch_column: str = ARCH_COLUMN) -> None:
        super().__init__(path)
        self.column = column
        self.arch_column = arch_column

    def _read(
        self, dataset: None, split: None, epochs: None, archs: Sequence[str] | None
    ) -> list[tuple[str, float, int | None, float | None]]:
        found = read_accuracies(self.path, self.column, self.arch_column)
        return [(str(arch), accuracy, None, None) for arch, accuracy in found.items()]
