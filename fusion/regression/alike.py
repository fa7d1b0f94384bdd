"""Columns of a table that say the same: which are permuted, replaced and told together.

Permuting one of two columns that repeat each other makes neither look important, for the model reads the
other one; see the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fusion.regression.columns import Array
from fusion.tables.encoding import is_encoded

DISTANCE = 0.2
"""Mean of 1 - |Spearman's correlation| up to which columns are taken to say the same."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that say the same of the architectures of a table.

    Attributes
    ----------
    label : str
        The indicator, or feature of the encoding, that correlates most with the mean rank of the group.
    others : int
        How many other indicators and features of the encoding are in the group.
    columns : tuple of str
        Sorted; what the label names is among them.
    """

    label: str
    others: int
    columns: tuple[str, ...]

    @property
    def title(self) -> str:
        """The label, and how many others there are."""
        return f"{self.label} + {self.others} more" if self.others else self.label


def column_groups(table: pd.DataFrame, distance: float = DISTANCE) -> list[ColumnGroup]:
    """Return the groups of the columns of a table, whatever the order of its rows and columns.

    Average linkage over 1 - |Spearman's correlation|. All columns of one feature of the encoding
    (`encoding.NAME` and `encoding.NAME=CHOICE`) are in one group from the start; their distance to others is
    the mean over them.

    Parameters
    ----------
    table : DataFrame, shape (n_architectures, n_columns)
        Index: unique. A missing or infinite value counts as the mean rank; where all others are equal, a
        column says which are missing.
    distance : float
        Up to which two groups are joined, from 0 to 1.

    Returns
    -------
    list of ColumnGroup
        Sorted by columns. Columns that do not vary are in none.

    Notes
    -----
    Source: the user guide of scikit-learn, "Permutation Importance with Multicollinear or Correlated
    Features", https://scikit-learn.org/stable/auto_examples/inspection
    """
    ranks = _standard_ranks(table.sort_index()[sorted(table.columns)])
    if ranks.empty:
        return []
    names = list(map(str, ranks.columns))
    correlation = np.clip(ranks.to_numpy().T @ ranks.to_numpy(), -1, 1)
    features = [_feature(name) for name in names]
    members = {name: np.flatnonzero(np.array(features) == name) for name in sorted(set(features))}
    # the mean of the distances between the columns of each two features
    shares = np.array([np.isin(range(len(names)), of) / len(of) for of in members.values()])
    apart = shares @ (1 - np.abs(correlation)) @ shares.T
    np.fill_diagonal(apart, 0)
    numbers = np.ones(1, dtype=np.intp)
    if len(members) > 1:
        condensed = squareform(np.maximum(apart + apart.T, 0) / 2, checks=False)
        # correlations of ranks are fractions, which may be as far apart as that but for rounding
        numbers = fcluster(linkage(condensed, "average"), distance + 1e-9, "distance")
    found = []
    for number in np.unique(numbers):
        of_each = zip(members.values(), numbers, strict=True)
        columns = np.sort(np.concatenate([of for of, own in of_each if own == number]))
        label = features[columns[_most_typical(correlation[np.ix_(columns, columns)])]]
        kept = tuple(names[j] for j in columns)
        found.append(ColumnGroup(label, len({features[j] for j in columns}) - 1, kept))
    return sorted(found, key=lambda group: group.columns)


def _feature(name: str) -> str:
    """Return what a column is of: the feature of the encoding, or the indicator itself."""
    return name.partition("=")[0] if is_encoded(name) else name


def _standard_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks with mean 0 and norm 1, of the columns that vary."""
    columns = {}
    for name in table:
        values = table[name].to_numpy(dtype=np.float64)
        here = np.isfinite(values)
        ranks = np.zeros(len(values))
        if here.any() and values[here].min() < values[here].max():
            ranks[here] = rankdata(values[here]) - (here.sum() + 1) / 2
        elif 0 < here.sum() < len(here):
            ranks = here - here.mean()  # what varies is whether there is a value
        if norm := float(np.sqrt(ranks @ ranks)):
            columns[name] = ranks / norm
    return pd.DataFrame(columns, table.index)


def _most_typical(correlation: Array) -> int:
    """Return which member correlates most with the mean of all in one direction; of equals the first."""
    directions = np.where(correlation[0] < 0, -1.0, 1.0)
    with_mean = np.abs(correlation @ directions)
    return int(np.argmax(with_mean.round(9)))
