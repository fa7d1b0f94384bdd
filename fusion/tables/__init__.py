"""The things that all above hand to each other: indicator tables, and accuracies joined with them."""

from fusion.tables.accuracies import Accuracies
from fusion.tables.indicator_table import IndicatorTable
from fusion.tables.labelled import Labelled, Pool

__all__ = ["Accuracies", "IndicatorTable", "Labelled", "Pool"]
