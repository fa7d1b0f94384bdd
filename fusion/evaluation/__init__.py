"""Predictions and measured accuracies -> typed results, metrics with intervals, figures and the report.

Every module that an installed package names in the entry point group `fusion.metrics` is imported too, and
registers its metrics.
"""

from fusion.evaluation.evaluation import Evaluation, Transfer
from fusion.evaluation.judge import judge
from fusion.evaluation.metrics import METRICS, Metric
from fusion.evaluation.reliability import split_half_reliability
from fusion.evaluation.results import Interval, Method, Protocol
from fusion.evaluation.settings import Judging, Plan
from fusion.evaluation.splits import split
from fusion.evaluation.verb import DEFAULT_MODELS, evaluate

__all__ = [
    "DEFAULT_MODELS",
    "METRICS",
    "Evaluation",
    "Interval",
    "Judging",
    "Method",
    "Metric",
    "Plan",
    "Protocol",
    "Transfer",
    "evaluate",
    "judge",
    "split",
    "split_half_reliability",
]

METRICS.load_entry_points()
