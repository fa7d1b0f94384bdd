"""Models that can do without accuracies, fitted on the values of a table alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusion.errors import FusionError
from fusion.regression.base import FusionModel
from fusion.regression.spec import ModelSpec
from fusion.regression.subset import OnIndicators, WithinGroup
from fusion.tables import IndicatorTable, Pool

NOT_TRANSFERRED = (
    "the accuracies of other spaces are not learned from: between spaces they misled more than they taught"
)
"""Why such a model of several tables learns from none of them."""


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
    """A model of several tables that learns from none of them: it is fitted anew in each that it is given.

    Attributes
    ----------
    spec : ModelSpec
    features : sequence of str
        Indicators that it reads of the tables that it was made with; of another table, all that there are.
    """

    spec: ModelSpec
    features: Sequence[str]

    @property
    def model_(self) -> FusionModel:
        """The model, not fitted."""
        return self.spec.estimator()

    def fit(self, table: IndicatorTable) -> OnIndicators:
        """Return the model fitted on a table, see `fit_unlabelled`."""
        return fit_unlabelled(table, self.spec)

    def weights(self) -> dict[str, float]:
        """Return nothing: without a table there are none."""
        return {}


def in_table(
    model: OnIndicators | WithinGroup | WithinTable, table: IndicatorTable
) -> OnIndicators | WithinGroup:
    """Return what predicts in a table: the model, fitted there when it is fitted anew in each."""
    if isinstance(model, WithinTable):
        anew: WithinTable = model
        return anew.fit(table)
    return model
