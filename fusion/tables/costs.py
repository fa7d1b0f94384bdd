"""What networks cost, from plain tables: latencies, memory, energy, whatever is to be weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.errors import FusionError
from fusion.spaces import Space
from fusion.storage.plain import read_table
from fusion.tables.architectures import ArchColumn


@dataclass(frozen=True)
class Costs:
    """Costs of architectures of one space.

    Attributes
    ----------
    by_key : DataFrame of float
        Index: canonical architectures; a column for each cost, mean over the rows of one network; NaN where
        unknown.
    source : str
        The file, for messages.
    notes : tuple of str
        What was left out, one line each.
    """

    by_key: pd.DataFrame
    source: str
    notes: tuple[str, ...] = ()

    def of(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the costs of canonical architectures, NaN for those that are not in the table."""
        return self.by_key.reindex(list(keys))


def read_costs(
    path: Path | str, space: Space, columns: Sequence[str] = (), *, arch_column: str | None = None
) -> Costs:
    r"""Return columns of a table of architectures.

    Parameters
    ----------
    path : path
        A table in any format of `fusion.storage.plain.read_table`.
    space : Space
        Whose architectures they are, in any notation that its `read` knows.
    columns : sequence of str
        The costs; by default all columns of numbers.
    arch_column : str, optional
        The column of architectures; by default `arch`, or else another common name for it.

    Raises
    ------
    FusionError
        When the file cannot be read, has no column of numbers, or lacks one of `columns` or has words in it.
    InvalidArchitecture
        When rows hold no architecture of the space; one line, with the first few.

    Examples
    --------
    >>> import fusion
    >>> (folder / "costs.csv").write_text("arch,ms,board\n12839,1.5,pi\n4,0.5,pi\n")
    36
    >>> found = read_costs(folder / "costs.csv", fusion.space("nats-tss"))
    >>> found.by_key["ms"].tolist(), found.notes[0].partition(": ")[2]
    ([1.5, 0.5], 'no numbers in column board, which is left out')
    """
    table = read_table(path)
    archs = ArchColumn.find(table, space, arch_column)
    read, words = {name: table.floats(name) for name in columns}, []
    for name in () if columns else table.header:
        if name in archs.names:
            continue
        try:
            read[name] = table.floats(name)
        except FusionError:
            words.append(name)
    if not read:
        raise FusionError(
            f"{table.path}: no column of numbers beside the architectures; there are: {table.names}"
        )
    found = archs.read(range(len(table.numbers)))
    found.require()
    keys = pd.Index([space.canonical(arch) for arch in found.archs], name="key", dtype=object)
    frame = pd.DataFrame(read, dtype="float64").set_axis(keys)
    notes = [f"{table.path}: no numbers in column {name}, which is left out" for name in words]
    return Costs(frame.groupby(level=0, sort=False).mean(), str(table.path), tuple(notes))


def pareto(cost: NDArray[np.float64], accuracy: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of those than which none costs less and is better, the cheapest first.

    Of equal ones the first is taken.

    Examples
    --------
    >>> pareto(np.array([3.0, 1.0, 2.0, 2.0]), np.array([0.9, 0.5, 0.4, 0.7])).tolist()
    [1, 3, 0]
    """
    order = np.lexsort((-accuracy, cost))
    before = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return order[accuracy[order] > before]
