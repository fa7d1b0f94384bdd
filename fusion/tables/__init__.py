"""The things that all above hand to each other: indicator tables, and accuracies joined with them."""

from fusion.tables.accuracies import Accuracies, read_accuracies
from fusion.tables.architectures import ArchList, read_archs
from fusion.tables.costs import Costs, read_costs
from fusion.tables.indicator_table import IndicatorTable
from fusion.tables.labelled import Labelled, Pool

__all__ = [
    "Accuracies",
    "ArchList",
    "Costs",
    "IndicatorTable",
    "Labelled",
    "Pool",
    "read_accuracies",
    "read_archs",
    "read_costs",
]
