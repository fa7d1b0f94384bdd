"""What a benchmark is: (architecture, data set, split, epochs) -> accuracy, read from files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.registry import Registry

T = TypeVar("T", str, int)

BENCHMARKS: Registry[type[Benchmark]] = Registry("benchmark", "fusion.benchmarks")


class Row(NamedTuple):
    """What a benchmark has measured of one architecture; None is unknown."""

    arch: str
    accuracy: float
    seeds: int | None = None
    cost: float | None = None
    spread: float | None = None


def standard_deviation(trainings: Sequence[float]) -> float | None:
    """Return the sample standard deviation; None of fewer than two."""
    return float(np.std(trainings, ddof=1)) if len(trainings) > 1 else None


class Benchmark(ABC):
    """Measured accuracies of architectures, in files that the user has.

    Subclasses implement `_read`.

    Parameters
    ----------
    path : Path or str
        The file or folder as the benchmark publishes it.

    Attributes
    ----------
    space : str or None
        Whose architecture strings it has; None where the files do not say.
    datasets, splits : tuple of str
    epochs : tuple of int
        What it was measured on and after how many epochs of training; empty where the files do not
        say. Of an opened benchmark only what its files can have.
    default_epochs : int or None
        Which of `epochs` is meant where none is named.
    notes : tuple of str
        What a reader of the accuracies should know of an opened benchmark's files, one line each.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    space: str | None = None
    datasets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    epochs: tuple[int, ...] = ()
    default_epochs: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """Return everything known without its files, as JSON values."""
        return {
            "summary": cls.summary,
            "source": cls.source,
            "space": cls.space,
            "datasets": list(cls.datasets),
            "splits": list(cls.splits),
            "epochs": list(cls.epochs),
        }

    def accuracies(
        self,
        dataset: str | None = None,
        split: str | None = None,
        epochs: int | None = None,
        *,
        archs: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the accuracies after the last epoch, each the mean over the benchmark's seeds.

        Parameters
        ----------
        dataset, split : str, optional
        epochs : int, optional
            One of `datasets`, `splits`, `epochs`; may be left out where there is only one, none, or a
            default.
        archs : sequence of str, optional
            What is needed: benchmarks of many files or records leave the others out. By default all.

        Returns
        -------
        DataFrame
            Index `arch`; columns `accuracy` (float64, percent), `seeds` (Int64, number of trainings
            in the mean; null where unknown), `cost` (float64, seconds of one training, mean over
            seeds; NaN where unknown) and `spread` (float64, standard deviation over the seeds; NaN where
            unknown, and of one training).

        Raises
        ------
        FusionError
            When the benchmark has no such accuracy, or its files are missing or damaged.
        """
        dataset = self._chosen("data set", dataset, self.datasets)
        split = self._chosen("split", split, self.splits)
        epochs = self._chosen("epochs", self.default_epochs if epochs is None else epochs, self.epochs)
        rows = self._read(dataset, split, epochs, archs)
        frame = pd.DataFrame(rows, columns=Row._fields).set_index("arch")
        return frame.astype({"accuracy": "float64", "seeds": "Int64", "cost": "float64", "spread": "float64"})

    @abstractmethod
    def _read(self, dataset: Any, split: Any, epochs: Any, archs: Sequence[str] | None) -> list[Row]:
        """Return a row for each architecture, for arguments that the benchmark has."""

    def _chosen(self, what: str, value: T | None, known: tuple[T, ...]) -> T | None:
        if value is None and len(known) <= 1:
            return known[0] if known else None
        if value in known:
            return value
        names = ", ".join(map(str, known)) or f"none, leave the {what} out"
        if value is None:
            raise FusionError(f"{self.path}: benchmark {self.name}: name the {what}, one of {names}")
        raise FusionError(f"{self.path}: benchmark {self.name} has no {what} {value!r}; known: {names}")
