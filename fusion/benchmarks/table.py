"""Accuracies from plain files: whatever a user has as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fusion import tables
from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row


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
