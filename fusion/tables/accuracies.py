"""Measured accuracies of architectures of one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fusion.spaces import Space


@dataclass(frozen=True)
class Accuracies:
    """Measured accuracies of architectures of one space.

    Attributes
    ----------
    by_arch : Series of float64
        Index `arch`, named like the column; the mean over the rows of one architecture; negated where
        `lower_is_better`.
    seeds : Series of Int64
        Measurements in each mean; null where unknown.
    cost : Series of float64
        Seconds of one training; NaN where unknown.
    spread : Series of float64
        Standard deviation over an architecture's own measurements; NaN where fewer than two are known.
    source : str
        The file or benchmark, for messages.
    rows : int
        Rows read.
    lower_is_better : bool
    notes : tuple of str
        What was left out or averaged, one line each.
    """

    by_arch: pd.Series[float]
    seeds: pd.Series[int]
    cost: pd.Series[float]
    spread: pd.Series[float]
    source: str
    rows: int
    lower_is_better: bool = False
    notes: tuple[str, ...] = ()

    def by_key(self, space: Space) -> pd.Series[float]:
        """Return the mean over the strings that build the same network; index `key`."""
        keys = [space.canonical(arch) for arch in self.by_arch.index]
        return self.by_arch.groupby(pd.Index(keys, name="key"), sort=False).mean()

    def of(self, space: Space, archs: Sequence[str]) -> pd.Series[float]:
        """Return the accuracies of those of `archs` that have one: their own, else their key's."""
        own = self.by_arch.reindex(pd.Index(archs))
        by_key = self.by_key(space)
        key = pd.Series(by_key.reindex([space.canonical(arch) for arch in archs]).to_numpy(), own.index)
        return own.fillna(key).dropna().astype(float)


def read_accuracies(path: Path | str, space: Space, column: str = "accuracy") -> Accuracies:
    """Return the accuracies in a plain table."""
    from fusion.benchmarks.table import read_accuracies as read

    by_arch = read(path, column)
    n = len(by_arch)
    return Accuracies(
        by_arch,
        pd.Series([pd.NA] * n, by_arch.index, dtype="Int64"),
        pd.Series(float("nan"), by_arch.index),
        pd.Series(float("nan"), by_arch.index),
        str(path),
        n,
    )
