"""One indicator's transformation, learned from its reference values: one class per kind."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from fusion.registry import Registry
from fusion.regression.checked import Array as Array
from fusion.regression.checked import increasing, number, vector, whole

COLUMNS: Registry[type[Column]] = Registry("transformation")


class Column(ABC):
    """What one column's reference values taught; subclasses are frozen dataclasses of JSON values and arrays.

    All arrays here are one-dimensional and hold finite numbers: the caller takes out missing values.
    """

    name: ClassVar[str]
    symbol: ClassVar[str]
    """How the transformed indicator x is written in an equation: symbol(x), or x where it is empty."""
    meaning: ClassVar[str]
    """What the equation's x or symbol(x) is; goes before "the <n> architectures of the <reference>"."""
    flags_missing: ClassVar[bool] = True
    """Whether a column with missing values gets a second, 0/1 column that marks them."""

    @classmethod
    @abstractmethod
    def learn(cls, reference: Array) -> Column:
        """Return the transformation learned from `reference`, at least one value."""

    @abstractmethod
    def apply(self, values: Array) -> Array:
        """Return the transformed `values`."""

    @property
    def missing(self) -> float:
        """What stands for a missing value: the middle of the transformed reference."""
        return 0.0

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        state = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {name: np.asarray(value).tolist() for name, value in state.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Column:
        """Return the column that gave `state`, of numbers; a column with arrays has a method of its own.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is no such state.
        """
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        if sorted(state) != sorted(names):
            raise ValueError(f"a column has {len(state)} values that are not {', '.join(names)}")
        return cls(**{name: number(state[name], name) for name in names})


@COLUMNS.register
@dataclass(frozen=True, eq=False)
class Quantile(Column):
    """Gaussian score of the rank: Phi^-1(F(x)), with F the reference's mid-rank distribution function.

    F(v) = (#{less than v} + #{equal to v} / 2) / n at the n reference values' distinct values v, linear in
    between, constant beyond the ends; so 0.5/n <= F <= 1 - 0.5/n. Non-decreasing in x. A constant
    reference gives 0 everywhere.
    """

    values: Array
    counts: npt.NDArray[np.int64]

    name = "quantile"
    symbol = "q"
    meaning = "q(x): the Gaussian score of x's rank among"

    @classmethod
    def learn(cls, reference: Array) -> Quantile:
        values, counts = np.unique(reference, return_counts=True)
        return cls(values, counts)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Quantile:
        values = increasing(vector(state["values"], "values"), "values")
        counts = [whole(count, "counts", 1) for count in state["counts"]]
        if len(counts) != len(values):
            raise ValueError(f"a column has {len(values)} values and {len(counts)} counts")
        return cls(values, np.array(counts, dtype=np.int64))

    @cached_property
    def _mid_ranks(self) -> Array:
        """F at the distinct values."""
        ranks: Array = (np.cumsum(self.counts) - self.counts / 2) / self.counts.sum()
        return ranks

    def apply(self, values: Array) -> Array:
        if len(self.values) == 1:
            return np.zeros_like(values)
        mid_ranks = self._mid_ranks
        x = np.minimum(np.maximum(values, self.values[0]), self.values[-1])
        left = np.minimum(np.searchsorted(self.values, x, side="right") - 1, len(self.values) - 2)
        low, high = self.values[left], self.values[left + 1]
        # halved first: the difference of two huge values would overflow (and half of the least
        # positive number is 0, where the share is that of a step)
        gap = high / 2 - low / 2
        share = np.divide(x / 2 - low / 2, gap, out=(x >= high).astype(np.float64), where=gap > 0)
        below, above = mid_ranks[left], mid_ranks[left + 1]
        scores: Array = ndtri(np.minimum(below + share * (above - below), above))
        return scores


def _centre_and_gain(values: Array) -> tuple[float, float]:
    """Return the mean and one over the standard deviation; the latter 0 for a constant column."""
    spread = 0.0 if values.min() == values.max() else float(values.std())
    return float(values.mean()), 1 / spread if spread > 0 else 0.0


class _Scaled(Column):
    """A column whose values are divided by a scale first."""

    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError("a column's scale is not positive")


@COLUMNS.register
@dataclass(frozen=True, eq=False)
class SignedLog(_Scaled):
    """sign(x) log(1 + |x| / s), standardised; s is the reference's median |x|, or 1 where that is 0."""

    scale: float
    centre: float
    gain: float

    name = "signed_log"
    symbol = "s"
    meaning = "s(x): sign(x) log(1 + |x| / median|x|), standardised over"

    @classmethod
    def learn(cls, reference: Array) -> SignedLog:
        scale = float(np.median(np.abs(reference))) or 1.0
        return cls(scale, *_centre_and_gain(cls._log(reference, scale)))

    @staticmethod
    def _log(values: Array, scale: float) -> Array:
        # log(1 + a/s) from log a - log s, as a/s may overflow
        with np.errstate(divide="ignore"):
            ratio = np.log(np.abs(values)) - np.log(scale)
        logs: Array = np.sign(values) * np.logaddexp(0, ratio)
        return logs

    def apply(self, values: Array) -> Array:
        return (self._log(values, self.scale) - self.centre) * self.gain


@COLUMNS.register
@dataclass(frozen=True, eq=False)
class Standard(_Scaled):
    """(x - mean) / standard deviation of the reference (divisor n)."""

    scale: float
    centre: float
    gain: float

    name = "standard"
    symbol = "z"
    meaning = "z(x): x less its mean, over its standard deviation, of"

    @classmethod
    def learn(cls, reference: Array) -> Standard:
        # divided by the largest first: the square of 1e200 would overflow
        scale = float(np.abs(reference).max()) or 1.0
        return cls(scale, *_centre_and_gain(reference / scale))

    def apply(self, values: Array) -> Array:
        return (values / self.scale - self.centre) * self.gain


@COLUMNS.register
@dataclass(frozen=True, eq=False)
class Raw(Column):
    """The values as they are; a missing one becomes the reference's mean."""

    mean: float

    name = "none"
    symbol = ""
    meaning = "x: where it is missing, its mean over"
    flags_missing = False

    @classmethod
    def learn(cls, reference: Array) -> Raw:
        scale = float(np.abs(reference).max()) or 1.0
        return cls(float((reference / scale).mean()) * scale)

    def apply(self, values: Array) -> Array:
        return values

    @property
    def missing(self) -> float:
        return self.mean
