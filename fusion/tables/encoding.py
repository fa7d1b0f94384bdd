"""The encoding: columns of numbers that describe architectures, made of what their space says of them.

The name of a column says all that is needed to compute it for any architecture: `encoding.WIDTH` is the
number that `Space.features` gives under WIDTH, and `encoding.OP=CHOICE` is 1 where it gives this choice (or
this number) under OP, and 0 elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.spaces import Space

PREFIX = "encoding."
"""Of the names of columns."""

# Numbers with at most so many values are choices too.
_FEW = 8
# In a table of so many architectures, what one of them has alone teaches nothing; nor does what so small a
# share of a larger one has.
_ALONE, _RARE = 20, 0.001


def is_encoded(name: str) -> bool:
    """Return whether a column is one of the encoding."""
    return name.startswith(PREFIX)


def not_encoded(names: Iterable[str]) -> list[str]:
    """Return the names of columns that are none of the encoding."""
    return [name for name in names if not is_encoded(name)]


def encode(space: Space, keys: Sequence[str], names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the encoding of architectures.

    Parameters
    ----------
    space : Space
    keys : sequence of str
        Canonical architectures.
    names : sequence of str, optional
        Columns; by default all that tell these architectures apart, sorted: numbers, and a column for each
        choice and each value of numbers with at most 8 values. Left out are columns in which all agree, and
        in tables of 20 or more also those in which all but one do, in tables of thousands all but one in a
        thousand.

    Returns
    -------
    DataFrame of float
        Index `key`. What an architecture lacks is 0 in columns of a choice, NaN in those of a number, and of
        a number with a part `count` in its name 0.

    Raises
    ------
    FusionError
        When the space fails to describe an architecture, or describes it by what is no number or text.

    Examples
    --------
    >>> import fusion
    >>> space = fusion.space("nats-sss")
    >>> encode(space, ["8:16:16:8:8", "8:24:16:8:8"], ["encoding.width.1", "encoding.width.1=16"]).to_numpy()
    array([[16.,  1.],
           [24.,  0.]])
    """
    described = _described(space, keys)
    if names is None:
        names = sorted(name for one in described.values() for name in one.columns())
    unknown = _Feature("", [], [], len(keys))
    columns = {}
    for name in names:
        feature, chosen, choice = name.removeprefix(PREFIX).partition("=")
        one = described.get(feature) or unknown.named(feature)
        columns[name] = one.is_choice(choice) if chosen else one.numbers
    return pd.DataFrame(columns, pd.Index(keys, name="key"), dtype=float)


class _Feature:
    """One feature of many architectures.

    Parameters
    ----------
    name : str
    rows : list of int
        The places of the architectures that have it.
    values : list of float or str
        Theirs.
    size : int
        How many architectures there are.
    """

    def __init__(self, name: str, rows: list[int], values: list[float | str], size: int) -> None:
        self.name = name
        self.size = size
        self._rows = rows
        self._values = values
        self._absent = 0.0 if "count" in name.split(".") else np.nan

    def named(self, name: str) -> _Feature:
        """Return the same values under another name."""
        return _Feature(name, self._rows, self._values, self.size)

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The value of each architecture, where it has a finite number."""
        found = np.full(self.size, self._absent)
        numbers = [np.nan if isinstance(value, str) else float(value) for value in self._values]
        found[self._rows] = numbers
        found[~np.isfinite(found)] = self._absent
        return found

    @cached_property
    def _choices(self) -> tuple[dict[str, int], npt.NDArray[np.int64]]:
        """Choice -> its number, and the number of each architecture's choice, -1 where it has none."""
        spelled = {value: _spelled(value) for value in set(self._values)}
        if not np.isnan(self._absent):
            spelled |= {self._absent: _spelled(self._absent)}
        numbers = {text: i for i, text in enumerate(sorted(set(filter(None, spelled.values()))))}
        codes = {value: numbers.get(text, -1) for value, text in spelled.items()}
        found = np.full(self.size, codes.get(self._absent, -1))
        found[self._rows] = [codes[value] for value in self._values]
        return numbers, found

    def is_choice(self, choice: str) -> npt.NDArray[np.bool_]:
        """Return whether each architecture has this choice."""
        numbers, of_each = self._choices
        chosen: npt.NDArray[np.bool_] = of_each == numbers.get(choice, -2)
        return chosen

    def columns(self) -> list[str]:
        """Return the names of the columns that tell the architectures apart."""
        choices, of_each = self._choices
        counts = np.bincount(of_each + 1, minlength=len(choices) + 1)
        fewest = max(1, min(2, self.size // (_ALONE // 2)), int(self.size * _RARE))
        found = []
        numeric = any(not isinstance(value, str) for value in self._values)
        if numeric and self.size - counts.max() >= fewest:
            found.append(f"{PREFIX}{self.name}")
        if not numeric or len(choices) <= _FEW:
            there = dict(zip(choices, counts[1:], strict=True))
            found += [
                f"{PREFIX}{self.name}={choice}"
                for choice, count in there.items()
                if fewest <= count <= self.size - fewest
            ]
        return found


def _spelled(value: float | str) -> str:
    """Return a choice as names of columns have it: whole numbers without a point; nothing for NaN."""
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return ""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(float(value))


def _described(space: Space, keys: Sequence[str]) -> dict[str, _Feature]:
    """Return what a space says of architectures, by name."""
    rows: dict[str, list[int]] = defaultdict(list)
    values: dict[str, list[float | str]] = defaultdict(list)
    # shown on a terminal where a space takes its time
    shown = tqdm(keys, desc="describe", unit="arch", leave=False, delay=2, disable=None)
    for row, key in enumerate(shown):
        try:
            found = space.features(key).items()
        except FusionError:
            raise
        except Exception as error:  # of a space of the user's own
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise FusionError(
                f"space {space.name}: `features` of {key} failed ({reason}); repair it"
            ) from error
        for name, value in found:
            rows[name].append(row)
            values[name].append(value)
    for name, given in values.items():
        if wrong := [v for v in given if not isinstance(v, str | int | float | np.integer | np.floating)]:
            raise FusionError(
                f"space {space.name}: `features` gives {name} the value {wrong[0]!r}; give a number or a text"
            )
    return {name: _Feature(name, rows[name], values[name], len(keys)) for name in values}
