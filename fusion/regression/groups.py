"""One model for several spaces or data sets: everything is measured within its own group first.

Raw indicator values and accuracies of two spaces have no common scale. Within a group, both become
Gaussian scores of their ranks, so a model learned on some groups can rank the architectures of one that it
has never seen, from their indicators alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.regression.base import FusionModel
from fusion.regression.columns import Array, Quantile
from fusion.regression.transform import IndicatorTransform
from fusion.seeding import derive_seed
from fusion.spaces import Space
from fusion.tables import Labelled

SCORE = "Gaussian score of the accuracy's rank within its space (mean 0, standard deviation 1)"
"""What a model fitted on groups predicts."""

FEWEST = 10
"""Networks in a group: ranks among fewer say nothing."""


@dataclass(frozen=True)
class Group:
    """The architectures of one space and data set.

    Attributes
    ----------
    name : str
    table : DataFrame, shape (architectures, indicators)
        Raw indicator values by key, with or without a measured accuracy; ranks are taken among them.
    accuracy : Series
        Measured accuracies by key, in any unit, higher is better; all keys are in `table`.
    space : Space
    """

    name: str
    table: pd.DataFrame
    accuracy: pd.Series[float]
    space: Space


def grouped(datas: Sequence[Labelled]) -> list[Group]:
    """Return each table with its accuracies as a group, under a name that tells it from the others.

    The names are those of the spaces; where these are equal, with the target, the table, or both.

    Raises
    ------
    FusionError
        When two are the same, or one has under `FEWEST` networks with an accuracy.
    """
    names = _names(datas)
    groups = []
    for data, name in zip(datas, names, strict=True):
        if len(data.by_key) < FEWEST:
            raise FusionError(
                f"group {name}: {len(data.by_key)} networks have indicators and an accuracy; ranks need at "
                f"least {FEWEST}"
            )
        groups.append(Group(name, data.table.values(), data.by_key, data.space))
    return groups


def _names(datas: Sequence[Labelled]) -> list[str]:
    spaces, targets = [data.space.name for data in datas], [data.target for data in datas]
    tables = [str(data.table.path) for data in datas]
    both = [f"{target} {table}" for target, table in zip(targets, tables, strict=True)]
    for with_what in ([""] * len(datas), targets, tables, both):
        names = [
            re.sub(r"[^\w.]+", "-", f"{space} {what}").strip("-.")
            for space, what in zip(spaces, with_what, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    raise FusionError("a table is named twice with the same target; name each once")


def same_versions(datas: Sequence[Labelled], features: Sequence[str]) -> None:
    """Raise FusionError when the tables hold an indicator in different versions."""
    found: dict[str, int] = {}
    for data in datas:
        held = data.table.meta["indicator_versions"]
        for name in features:
            if found.setdefault(name, held[name]) != held[name]:
                raise FusionError(f"the tables hold {name} of different versions; extract it again")


def unseen(other: Group, judged: Group) -> Group:
    """Return `other` without the accuracies of networks, and of their twins, that `judged` measures too.

    Raises
    ------
    FusionError
        When under `FEWEST` are left.
    """
    if type(other.space) is not type(judged.space):
        return other
    seen = {judged.space.twins(key) for key in judged.accuracy.index}
    kept = other.accuracy[[judged.space.twins(key) not in seen for key in other.accuracy.index]]
    if len(kept) < FEWEST:
        raise FusionError(
            f"groups {other.name} and {judged.name} measure the same networks of one space, and {len(kept)} "
            "others are left to learn from; give accuracies of different networks"
        )
    return replace(other, accuracy=kept)


def within_group(table: pd.DataFrame, pool: pd.DataFrame) -> pd.DataFrame:
    """Return the Gaussian scores of the ranks of `table`'s values among those of `pool`.

    Parameters
    ----------
    table, pool : DataFrame
        Raw indicator values, of the same columns; missing ones stay missing.

    Returns
    -------
    DataFrame, of the index and columns of `table`
        0 for an indicator that is the same all over `pool`.
    """
    scores = IndicatorTransform("quantile").fit(pool).scores(table)
    return pd.DataFrame(scores, table.index, table.columns)


def common_indicators(groups: Sequence[Group]) -> list[str]:
    """Return the indicators that all groups have, in the order of the first.

    Raises
    ------
    FusionError
        When there is none.
    """
    common = [str(name) for name in groups[0].table if all(name in group.table for group in groups)]
    if not common:
        raise FusionError("the tables have no indicator in common; extract the same indicators for all")
    return common


def fit_groups(
    model: FusionModel, groups: Sequence[Group], features: Sequence[str], seed: int = 0
) -> FusionModel:
    """Return `model` fitted on the architectures of all groups; it predicts `SCORE`.

    All groups count alike: each gives as many architectures as the smallest has accuracies, drawn at
    random. The fitted model wants tables that have gone through `within_group`.

    Parameters
    ----------
    model : FusionModel
        Unfitted.
    groups : sequence of Group
    features : sequence of str
        Indicators that all groups have.
    seed : int
        Of the draw.
    """
    columns = list(features)
    size = min(len(group.accuracy) for group in groups)
    values, scores, pools = [], [], []
    for group in groups:
        accuracy = group.accuracy.sort_index()
        measured: Array = np.asarray(accuracy, dtype=np.float64)
        pool = group.table[columns]
        drawn = np.random.default_rng(derive_seed("group", seed, group.name)).permutation(len(accuracy))
        chosen = drawn[:size]
        scores.append(Quantile.learn(measured).apply(measured[chosen]))
        values.append(within_group(pool.loc[accuracy.index[chosen]], pool))
        pools.append(within_group(pool, pool))
    return model.fit(
        pd.concat(values), np.concatenate(scores), pool=pd.concat(pools) if model.uses_pool else None
    )
