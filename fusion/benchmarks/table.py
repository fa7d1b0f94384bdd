"""Accuracies from plain files: whatever a user has as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fusion import tables
from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row
from fusion.errors import InvalidArchitecture
from fusion.spaces.base import Space

ARCH_COLUMN = "arch"


def read_accuracies(path: Path | str, column: str, arch_column: str | None = None) -> pd.Series[float]:
    """Return `by_arch` of `fusion.tables.read_accuracies`, the strings as they are."""
    return tables.read_accuracies(path, None, column, arch_column=arch_column).by_arch


def read_archs(path: Path | str) -> tuple[list[str], list[int]]:
    """Return `archs` and `lines` of `fusion.tables.read_archs`, the strings as they are."""
    found = tables.read_archs(path, None)
    found.require()
    return list(found.archs), list(found.lines)


def to_keys(accuracies: pd.Series[float], space: Space) -> pd.Series[float]:
    """Return the accuracies by canonical key: the mean over strings that build the same network.

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
    """One column of a plain table; its unit is kept as it is.

    Architecture strings are as in the file: which space they are of is not known here.

    Parameters
    ----------
    path : Path or str
    column, arch_column : str
        As for `fusion.tables.read_accuracies`.
    """

    name = "table"
    summary = "a table with a column of architectures and columns of accuracies: CSV, Parquet, JSON, ..."
    source = "yours"

    def __init__(self, path: Path | str, column: str = "accuracy", arch_column: str | None = None) -> None:
        super().__init__(path)
        self.column = column
        self.arch_column = arch_column

    def _read(self, dataset: None, split: None, epochs: None, archs: Sequence[str] | None) -> list[Row]:
        found = tables.read_accuracies(self.path, None, self.column, arch_column=self.arch_column)
        self.notes = found.notes
        seeds = [None if pd.isna(n) else int(n) for n in found.seeds]
        return list(map(Row, found.by_arch.index, found.by_arch, seeds, found.cost, found.spread))
