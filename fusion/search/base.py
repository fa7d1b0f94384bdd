"""What every search has: a budget of measured architectures, and a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import pandas as pd

from fusion.errors import FusionError
from fusion.spaces.base import Space
from fusion.tables import IndicatorTable

Measure: TypeAlias = Callable[[str], float]
"""The accuracy of a canonical key; KeyError where there is none."""

Indicators: TypeAlias = Callable[[Sequence[str]], pd.DataFrame]
"""The indicator table of keys (index = the keys); cheap relative to measuring."""


class Growing:
    """Indicators of a table that computes what it lacks; the table is made by the first that is asked.

    Parameters
    ----------
    first : callable
        Keys -> a table of them that can be extended, such as one that `extract` made.
    """

    def __init__(self, first: Callable[[Sequence[str]], IndicatorTable]) -> None:
        self._first = first
        self._table: IndicatorTable | None = None

    def __call__(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the indicators of `keys`, by key."""
        self._table = self._first(keys) if self._table is None else self._table.extend(keys)
        return self._table.only(keys).values()


@dataclass(frozen=True)
class SearchResult:
    """What a search measured, in order.

    Parameters
    ----------
    method : str
        The name of the search.
    seed : int
        The seed on which it depends.
    archs : list of str
        Canonical keys in the order in which they were measured, each once.
    accuracies : list of float
        Their measured accuracies.
    """

    method: str
    seed: int
    archs: list[str]
    accuracies: list[float]

    @property
    def best_so_far(self) -> list[float]:
        """The best accuracy after 1, 2, ... measured architectures."""
        return list(accumulate(self.accuracies, max))

    @property
    def best_arch(self) -> str:
        """The first of the architectures with the best accuracy."""
        return self.archs[self.accuracies.index(self.best_accuracy)]

    @property
    def best_accuracy(self) -> float:
        """The best measured accuracy."""
        return max(self.accuracies)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, the best architecture and the best accuracy so far as JSON values."""
        return asdict(self) | {
            "best_arch": self.best_arch,
            "best_accuracy": self.best_accuracy,
            "best_so_far": self.best_so_far,
        }


class Measurements:
    """The accuracies measured so far: each key at most once, never more than the budget.

    Parameters
    ----------
    measure : callable
        Key -> accuracy.
    budget : int
        How many keys may be measured.

    Raises
    ------
    FusionError
        When the budget is not positive.
    """

    def __init__(self, measure: Measure, budget: int) -> None:
        if budget < 1:
            raise FusionError(f"search: the budget must be at least 1 measured architecture, got {budget}")
        self._measure = measure
        self._budget = budget
        self.accuracies: dict[str, float] = {}

    @property
    def left(self) -> int:
        """How many keys may still be measured."""
        return self._budget - len(self.accuracies)

    def add(self, key: str) -> None:
        """Measure `key`.

        Raises
        ------
        FusionError
            When `key` has no accuracy, or one that is no finite number.
        ValueError
            When `key` was measured already or the budget is spent.
        """
        if key in self.accuracies or self.left == 0:
            raise ValueError(f"{key} must not be measured: it was already, or the budget is spent")
        try:
            accuracy = float(self._measure(key))
        except KeyError as error:
            raise FusionError(
                f"search: no measured accuracy of {key}; give a table of accuracies that covers the space"
            ) from error
        if not math.isfinite(accuracy):
            raise FusionError(f"search: the measured accuracy of {key} is {accuracy}; correct the table")
        self.accuracies[key] = accuracy

    def result(self, method: str, seed: int) -> SearchResult:
        """Return what was measured as the result of `method`."""
        return SearchResult(method, seed, list(self.accuracies), list(self.accuracies.values()))


def random_keys(space: Space, seed: int, exclude: Container[str] = ()) -> Iterator[str]:
    """Yield every key of `space` that is not in `exclude` once, in random order.

    Architecture strings are drawn uniformly without replacement, as random search on a benchmark
    does; a string whose key came up already is passed over.

    Parameters
    ----------
    space : Space
        The space.
    seed : int
        Of the order.
    exclude : container of str
        Keys to leave out.
    """
    seen: set[str] = set()
    for arch in space.sample(len(space), seed):
        key = space.canonical(arch)
        if key not in seen and key not in exclude:
            seen.add(key)
            yield key
