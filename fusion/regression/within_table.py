"""Models that can do without accuracies, fitted on the values of a table alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusion.errors import FusionError
from fusion.regression.base import FusionModel
from fusion.regression.groups import Group
from fusion.regression.kin import ALIKE, Kind, KinScore, Lesson, likenesses, said, weights
from fusion.regression.spec import ModelSpec
from fusion.regression.subset import OnIndicators, WithinGroup
from fusion.tables import IndicatorTable, Pool

NOT_TRANSFERRED = (
    "the accuracies of other spaces are not learned from: between spaces they misled more than they taught"
)
"""Why such a model of several tables learns from none of them."""
FROM_KIN = (
    "the accuracies of other spaces are learned from where a table's indicators hang together as theirs do; "
    "unlike spaces misled more than they taught"
)
"""Why `auto` of several tables learns from some of them."""


def fit_unlabelled(table: IndicatorTable, spec: ModelSpec) -> OnIndicators:
    """Return the model fitted on all that a table has, indicators and encoding, without any accuracy.

    Raises
    ------
    FusionError
        When the model learns from accuracies alone, it or an indicator is not known, or there are not two
        networks.
    """
    if spec.estimator().needs_labels:
        raise FusionError(
            f"model {spec.model!r} learns from accuracies, and the table has none; give accuracies, or fit "
            "auto, which ranks without"
        )
    pool = Pool.whole(table)
    if len(pool.table) < 2:
        raise FusionError(f"{table.path}: has one network; there is nothing to rank")
    return spec.make([str(name) for name in pool.table.columns]).fit(pool.table, pool=pool)


@dataclass(frozen=True)
class WithinTable:
    """A model of several tables that is fitted anew in each that it is given, without its accuracies.

    Attributes
    ----------
    spec : ModelSpec
    features : sequence of str
        Indicators that it reads of the tables that it was made with; of another table, all that there are.
    lessons : tuple of Lesson
        What the tables taught; of those that are like a table it is learned, else it is ranked without.
    """

    spec: ModelSpec
    features: Sequence[str]
    lessons: tuple[Lesson, ...] = ()

    @classmethod
    def of(
        cls, spec: ModelSpec, features: Sequence[str], groups: Sequence[Group], versions: Mapping[str, int]
    ) -> WithinTable:
        """Return the model that learns from groups where it is one that does."""
        uses = type(spec.estimator()).uses_kin
        return cls(spec, features, tuple(Lesson.of(group, versions) for group in groups) if uses else ())

    @property
    def why(self) -> str:
        """What is to be said of what it learns."""
        return FROM_KIN if self.lessons else NOT_TRANSFERRED

    def likenesses(self, table: IndicatorTable) -> dict[str, float]:
        """Return how alike a table is to each that taught, the likest first."""
        return likenesses(self.lessons, _kind(table))

    def taught(self, table: IndicatorTable) -> dict[str, float]:
        """Return the weight of each indicator that spaces like a table taught; nothing without such."""
        kind = _kind(table)
        found = likenesses(self.lessons, kind)
        alike = [lesson for lesson in self.lessons if found[lesson.group] >= ALIKE]
        return weights(alike, kind) if alike else {}

    def told(self, table: IndicatorTable, otherwise: str = "ranked without any accuracy") -> list[str]:
        """Return from which spaces is learned in a table, in words; nothing where it learns from none.

        Parameters
        ----------
        table : IndicatorTable
        otherwise : str
            What is done where no space is like it.
        """
        return [said(self.likenesses(table), otherwise)] if self.lessons else []

    @property
    def model_(self) -> FusionModel:
        """The model, not fitted."""
        return self.spec.estimator()

    def fit(self, table: IndicatorTable) -> OnIndicators:
        """Return the model fitted on a table: what like spaces taught, else see `fit_unlabelled`."""
        learned = self.taught(table)
        if not learned:
            return fit_unlabelled(table, self.spec)
        pool = Pool(table.values([*learned]))
        return OnIndicators(KinScore(learned), [*learned]).fit(pool.table, pool=pool)

    def weights(self) -> dict[str, float]:
        """Return nothing: without a table there are none."""
        return {}


def _kind(table: IndicatorTable) -> Kind:
    return Kind.of(table.values(), table.meta.get("indicator_versions", {}))


def in_table(
    model: OnIndicators | WithinGroup | WithinTable, table: IndicatorTable
) -> OnIndicators | WithinGroup:
    """Return what predicts in a table: the model, fitted there when it is fitted anew in each.

    It warns of what is then learned from.
    """
    if isinstance(model, WithinTable):
        anew: WithinTable = model
        for line in anew.told(table):
            warnings.warn(line, stacklevel=3)
        return anew.fit(table)
    return model
