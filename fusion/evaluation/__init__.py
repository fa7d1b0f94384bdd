"""Predictions and measured accuracies -> metrics with intervals, figures and the report.

Every module that an installed package names in the entry point group `fusion.metrics` is imported too, and
registers its metrics.
"""

from fusion.evaluation.metrics import METRICS, Metric, split_half_reliability
from fusion.evaluation.protocol import Evaluation, evaluate
from fusion.evaluation.report import write_report
from fusion.evaluation.splits import split
from fusion.evaluation.transfer_report import write_transfer_report

__all__ = [
    "METRICS",
    "Evaluation",
    "Metric",
    "evaluate",
    "split",
    "split_half_reliability",
    "write_report",
    "write_transfer_report",
]

METRICS.load_entry_points()
