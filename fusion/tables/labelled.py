"""An indicator table joined with measured accuracies: what models are fitted on and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.spaces import Space
from fusion.tables.accuracies import Accuracies
from fusion.tables.costs import Costs
from fusion.tables.encoding import not_encoded
from fusion.tables.indicator_table import IndicatorTable


@dataclass(frozen=True)
class Pool:
    """Values of indicators and encoding without accuracies, from which a model may learn where values lie.

    It has neither length nor shape, so that nothing that splits `X` and `y` takes it for another column
    of them and slices it too.

    Attributes
    ----------
    table : DataFrame, shape (n_architectures, n_columns)
    """

    table: pd.DataFrame

    @classmethod
    def whole(cls, table: IndicatorTable) -> Pool:
        """Return the values of all architectures that a table has, one row per network, sorted by key."""
        return cls(_columns(table).sort_index())

    def of(self, columns: Sequence[str]) -> Pool:
        """Return the same architectures with only these columns."""
        return Pool(self.table[list(columns)])


@dataclass(frozen=True)
class Labelled:
    """Architectures with indicator values and measured accuracies.

    `X` and `y` go into any scikit-learn estimator; `pool`, all that the table has, into the `fit` of a
    fusion model.

    Attributes
    ----------
    table : IndicatorTable
    accuracies : Accuracies
        As they were read, of whatever architectures.
    X : DataFrame, shape (n_architectures, n_columns)
        Index: architecture strings, sorted. Raw values of the indicators, then of the encoding
        (`IndicatorTable.encoding`); NaN where undefined.
    y : Series, shape (n_architectures,)
        Accuracies in the order of `X`; higher is better.
    target : str
        What the accuracies are, in words.
    costs : DataFrame, shape (n_architectures, n_costs)
        Index as of `X`. What there is to be weighed against accuracy: of the table's indicators those of the
        preset `cost`, then the costs that were given; NaN where unknown.
    notes : tuple of str
        What was left out or averaged on the way, one line each.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> len(data.indicators), len(data.X.columns) > 97, data.y.shape
    (98, True, (24,))
    """

    table: IndicatorTable
    accuracies: Accuracies
    X: pd.DataFrame
    y: pd.Series[float]
    target: str
    costs: pd.DataFrame
    notes: tuple[str, ...] = ()

    @classmethod
    def join(
        cls,
        table: IndicatorTable,
        accuracies: Accuracies,
        *,
        archs: Sequence[str] | None = None,
        target: str | None = None,
        costs: Costs | None = None,
    ) -> Labelled:
        """Return the architectures that have both indicators and an accuracy.

        Parameters
        ----------
        table : IndicatorTable
        accuracies : Accuracies
        archs : sequence of str, optional
            Of a whole benchmark, the architectures to take: each has its own accuracy, else that of an
            isomorphic one. By default the architectures that `accuracies` names.
        target : str, optional
            What the accuracies are, in words; by default the name of their column.
        costs : Costs, optional
            As `read_costs` gives them; of costs that the table has too, these count.

        Raises
        ------
        FusionError
            When no architecture has both.
        """
        space, values = table.space, _columns(table)
        asked = accuracies.by_arch if archs is None else accuracies.of(space, archs)
        keys = [space.canonical(arch) for arch in asked.index]
        there = [key in values.index for key in keys]
        y = asked[there].astype(float).sort_index()
        if y.empty:
            raise FusionError(
                f"{accuracies.source} and {table.path} have no architecture in common; extract the "
                "indicators of those with an accuracy"
            )
        index = pd.Index(y.index, name="arch")
        X = values.loc[[space.canonical(str(arch)) for arch in index]].set_axis(index)
        notes = [*accuracies.notes, *filter(None, [accuracies.disagreement(space)])]
        if archs is not None and (unmeasured := len(archs) - len(asked)):
            notes.append(f"{unmeasured} of {len(archs)} architectures have no accuracy and were left out")
        if lacking := len(asked) - len(y):
            notes.append(f"{lacking} architectures with an accuracy are not in its table and were left out")
        named = str(accuracies.by_arch.name or "accuracy")
        weighed = _costs(table, costs, [space.canonical(arch) for arch in index], notes).set_axis(index)
        return cls(table, accuracies, X, y.set_axis(index), target or named, weighed, tuple(notes))

    @property
    def space(self) -> Space:
        """The space of the architectures."""
        return self.table.space

    @cached_property
    def keys(self) -> pd.Series[str]:
        """The canonical architecture of each, in the order of `X`: equal ones are the same network."""
        return pd.Series([self.space.canonical(arch) for arch in self.X.index], self.X.index)

    @cached_property
    def twins(self) -> pd.Series[str]:
        """The group of each, in the order of `X`: members must not straddle a split."""
        return pd.Series([self.space.twins(arch) for arch in self.X.index], self.X.index)

    @property
    def networks(self) -> int:
        """How many different networks there are."""
        return int(self.keys.nunique())

    @property
    def indicators(self) -> list[str]:
        """The names of the columns of `X` that are indicators."""
        return not_encoded(map(str, self.X.columns))

    @property
    def directions(self) -> dict[str, bool]:
        """Indicator -> whether its source expects better architectures to have higher values."""
        return {
            name: INDICATORS[name].higher_is_better if name in INDICATORS else True
            for name in self.indicators
        }

    @cached_property
    def pool(self) -> Pool:
        """The values of all architectures in the table, measured or not; one row per network."""
        return Pool.whole(self.table)

    @property
    def cost(self) -> pd.Series[float]:
        """Seconds of one training of each, in the order of `X`; NaN where unknown."""
        return self.accuracies.cost.reindex(self.X.index)

    @cached_property
    def by_key(self) -> pd.Series[float]:
        """The accuracy of each network in the table: the mean over strings that build it; index `key`."""
        by_key = self.accuracies.by_key(self.space)
        return by_key[by_key.index.isin(self.table.values().index)]


def _columns(table: IndicatorTable) -> pd.DataFrame:
    """Return all that models within a space read, by key."""
    return table.values().join(table.encoding())


def _costs(table: IndicatorTable, given: Costs | None, keys: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """Return what there is to be weighed against accuracy, a row for each of `keys`."""
    found = table.costs().loc[list(keys)].reset_index(drop=True)
    if several := table.machines():
        notes.append(f"{table.path}: latency or energy of several machines: {'; '.join(several)}")
    if given is None:
        return found
    notes += given.notes
    theirs = given.of(keys).reset_index(drop=True)
    if lacking := int(theirs.isna().all(axis=1).sum()):
        notes.append(f"{given.source}: no cost of {lacking} of {len(keys)} architectures")
    return found.drop(columns=[name for name in found if name in theirs]).join(theirs)
