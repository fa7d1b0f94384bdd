"""What accuracies of other spaces say of a space whose indicators hang together as theirs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.indicators import INDICATORS, needs_graphs
from fusion.regression.checked import matrix, moderate, vector, within
from fusion.regression.columns import Array, Quantile
from fusion.regression.groups import Group
from fusion.regression.transform import IndicatorTransform
from fusion.regression.unlabelled import Unlabelled

ALIKE = 0.9
"""The likeness from which on what was learned in one space is trusted in another.

Chosen after seeing the eleven spaces of docs/results.md.
"""
FEWEST_SHARED = 12
"""Indicators without which no two spaces are found alike."""
# Penalty of the least squares, in units of the mean squared score of a rank.
_RIDGE = 0.1


@dataclass(frozen=True, eq=False)
class Kind:
    """How the indicators of a space hang together.

    Attributes
    ----------
    versions : dict of str to int
        Indicator -> version, sorted by name: those computed from networks that differ over the space.
    correlations : ndarray, shape (p, p)
        Of the Gaussian scores of their ranks; a missing value stands at the worse end.
    """

    versions: dict[str, int]
    correlations: Array

    @classmethod
    def of(cls, table: pd.DataFrame, versions: Mapping[str, int]) -> Kind:
        """Return the kind of a space.

        Parameters
        ----------
        table : DataFrame, shape (n_architectures, n_indicators)
            Raw values.
        versions : mapping of str to int
            Of the indicators.
        """
        known = sorted({*map(str, table)} & {*versions} & {*INDICATORS})
        known = [name for name in known if not needs_graphs(name)]
        scores = _scores(table[known])
        names = [str(name) for name in scores if scores[name].min() < scores[name].max()]
        ranks = scores[names].to_numpy()
        # one row or column alone would lose a dimension
        correlations = np.corrcoef(ranks.T).reshape(len(names), len(names))
        return cls({name: versions[name] for name in names}, correlations)

    def shared(self, other: Kind) -> list[str]:
        """Return the indicators that both have, in the same version."""
        return [name for name, version in self.versions.items() if other.versions.get(name) == version]

    def between(self, names: Sequence[str]) -> Array:
        """Return the correlations between some of the indicators."""
        at = [list(self.versions).index(name) for name in names]
        return self.correlations[np.ix_(at, at)]

    def likeness(self, other: Kind) -> float:
        """Return how alike two spaces are, between -1 and 1.

        Pearson's correlation between the correlations of the indicators that both have, each pair of
        indicators once; 0 where they share fewer than `FEWEST_SHARED`, or it is not defined.
        """
        if len(names := self.shared(other)) < FEWEST_SHARED:
            return 0.0
        pairs = np.triu_indices(len(names), 1)
        own, others = (kind.between(names)[pairs] for kind in (self, other))
        if np.ptp(own) == 0 or np.ptp(others) == 0:
            return 0.0
        return float(np.corrcoef(own, others)[0, 1])


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the accuracies of one space taught.

    Attributes
    ----------
    group : str
        Name of the space among those taught.
    kind : Kind
    slopes : ndarray, shape (p,)
        Mean product of the score of the accuracy's rank with that of each indicator of `kind`.
    """

    group: str
    kind: Kind
    slopes: Array

    @classmethod
    def of(cls, group: Group, versions: Mapping[str, int]) -> Lesson:
        """Return what a group teaches, with the versions of its indicators."""
        kind = Kind.of(group.table, versions)
        measured = np.asarray(group.accuracy, dtype=np.float64)
        goal = Quantile.learn(measured).apply(measured)
        ranks = _scores(group.table[[*kind.versions]]).loc[group.accuracy.index].to_numpy()
        return cls(group.name, kind, ranks.T @ goal / len(goal))

    def to_state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "group": self.group,
            "versions": self.kind.versions,
            "correlations": self.kind.correlations.tolist(),
            "slopes": self.slopes.tolist(),
        }

    @classmethod
    def from_state(cls, state: Any) -> Lesson:
        """Return what gave `state`; raises KeyError, TypeError or ValueError."""
        group, versions = state["group"], state["versions"]
        if not isinstance(group, str) or not isinstance(versions, dict):
            raise ValueError("a lesson has no group or no versions")
        if not all(type(version) is int for version in versions.values()):
            raise ValueError("versions are no whole numbers")
        p = len(versions)
        correlations = within(
            matrix(state["correlations"], "correlations", (p, p)), -1.001, 1.001, "correlations"
        )
        slopes = moderate(vector(state["slopes"], "slopes", p), "slopes")
        return cls(group, Kind(dict(sorted(versions.items())), correlations), slopes)


def likenesses(lessons: Sequence[Lesson], kind: Kind) -> dict[str, float]:
    """Return how alike a space is to each that taught, the likest first."""
    found = {lesson.group: lesson.kind.likeness(kind) for lesson in lessons}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def weights(lessons: Sequence[Lesson], kind: Kind) -> dict[str, float]:
    """Return the weight of each indicator in a space, learned from those that are like it.

    Ridge regression of the score of the accuracy's rank on those of the indicators that all have, in which
    each space counts alike.

    Raises
    ------
    FusionError
        When they share no indicator.
    """
    names = [name for name in kind.versions if all(name in lesson.kind.shared(kind) for lesson in lessons)]
    if not names:
        raise FusionError("the spaces share no indicator")
    gram = np.mean([lesson.kind.between(names) for lesson in lessons], axis=0)
    at = [[list(lesson.kind.versions).index(name) for name in names] for lesson in lessons]
    slopes = np.mean([lesson.slopes[each] for lesson, each in zip(lessons, at, strict=True)], axis=0)
    found = np.linalg.solve(gram + _RIDGE * np.eye(len(names)), slopes)
    return dict(zip(names, found.tolist(), strict=True))


def said(found: Mapping[str, float], otherwise: str) -> str:
    """Return in words from which spaces was learned, given how alike each is, or what was done otherwise."""
    alike = {group: likeness for group, likeness in found.items() if likeness >= ALIKE}
    if alike:
        groups = ", ".join(f"{group} ({likeness:.2f})" for group, likeness in alike.items())
        return f"learned from the spaces that are like this one (likeness of 1 at most): {groups}"
    nearest = next(iter(found.items()), ("none", 0.0))
    return (
        f"this space is like none of those taught (nearest {nearest[0]}, {nearest[1]:.2f}, under {ALIKE}): "
        f"{otherwise}"
    )


class KinScore(Unlabelled):
    """Score = sum of weights times the Gaussian scores of indicators' ranks, the weights given.

    Parameters
    ----------
    given : mapping of str to float
        Indicator -> weight.
    """

    name = "kin_score"
    summary = "weighted sum of indicators' ranks, learned on spaces like this one"
    source = "this library"

    def __init__(self, given: Mapping[str, float]) -> None:
        self.given = given

    def _scores(self, features: Array) -> Array:
        names = self.feature_names_in_[self.known_]
        turned = np.array([self.given[str(name)] for name in names]) * self.better_[self.known_]
        scores: Array = features @ turned
        return scores


def _scores(table: pd.DataFrame) -> pd.DataFrame:
    """Return the Gaussian scores of ranks, missing values at the worse end, 0 where there are none."""
    if not len(table.columns):
        return table
    better = [1 if INDICATORS[str(name)].higher_is_better else -1 for name in table]
    scores = IndicatorTransform("quantile").fit(table).fill_worse(better).transform(table)
    # without the columns that mark what is missing
    return pd.DataFrame(scores[:, : len(better)], table.index, table.columns)
