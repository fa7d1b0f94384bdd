"""Metrics of many methods on the same test parts, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fusion.evaluation.metrics import METRICS
from fusion.evaluation.results import Interval
from fusion.evaluation.values import Values
from fusion.work import Work
from fusion.work.tasks import in_order

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Samples = dict[str, dict[str, Array]]
"""Method -> metric -> one value per split or replicate."""

BOOTSTRAP = (
    "2.5 and 97.5 percentiles over bootstrap replicates; each takes a random split and resamples its test "
    "groups with replacement."
)
OVER_SPLITS = "2.5 and 97.5 percentiles over the splits, whose test parts overlap; none where there is one."
"""How intervals are made, with and without replicates."""

# Replicates of a split that a process computes before the next may take some.
_AT_ONCE = 20


@dataclass(frozen=True)
class Outcome:
    """What the methods say about the test part of one split.

    Attributes
    ----------
    measured : ndarray, shape (test architectures,)
        Measured accuracies.
    groups : ndarray of int, shape (test architectures,)
        Equal numbers are isomorphic twins.
    ranking : dict of str to ndarray, shape (test architectures,)
        Each method's score, higher is better; judged by every metric but RMSE.
    fitted : dict of str to ndarray, shape (test architectures,)
        Each method's prediction in the units of the accuracy; judged by RMSE.
    """

    measured: Array
    groups: Indices
    ranking: dict[str, Array]
    fitted: dict[str, Array]


def scores_per_replicate(
    outcomes: list[Outcome], replicates: int, rng: np.random.Generator, work: Work
) -> Samples:
    """Return every metric of every method on each bootstrap replicate.

    A replicate takes one of the splits at random and draws as many groups as its test part has from
    that test part, with replacement. All methods see the same replicates, so differences between
    them are paired.

    Parameters
    ----------
    outcomes : list of Outcome
        One per split, all of the same methods.
    replicates : int
        How many.
    rng : numpy.random.Generator
        Source of the draws.
    work : Work
        By how many processes, whatever the number with the same result, and whether a bar is shown.

    Returns
    -------
    dict of str to dict of str to ndarray, shape (replicates,)
        Method -> metric -> values; NaN where undefined.
    """
    draws = [_rows_by_group(outcome.groups) for outcome in outcomes]
    drawn: dict[int, list[tuple[int, Indices]]] = {}
    for replicate in range(replicates):
        split = int(rng.integers(len(outcomes)))
        drawn.setdefault(split, []).append((replicate, draws[split](rng)))
    tasks = [
        (outcomes[split], of_split[start : start + _AT_ONCE])
        for split, of_split in drawn.items()
        for start in range(0, len(of_split), _AT_ONCE)
    ]
    found = in_order(_scores_of_all, tasks, workers=work.processes)
    hidden = None if work.progress else True
    bar = tqdm(found, desc="bootstrap", total=len(tasks), leave=False, delay=2, disable=hidden)
    scores = dict(pair for pairs in bar for pair in pairs)
    return collected(scores[replicate] for replicate in range(replicates))


def _scores_of_all(
    task: tuple[Outcome, list[tuple[int, Indices]]],
) -> list[tuple[int, dict[str, dict[str, float]]]]:
    """Return replicate and scores, for replicates of one split."""
    outcome, draws = task
    return [(replicate, scores_of(outcome, rows)) for replicate, rows in draws]


def interval(per_split: Array, per_replicate: Array) -> Interval:
    """Return the mean over splits and the 2.5 and 97.5 percentiles over replicates.

    Undefined values are left out; None where none is defined.
    """
    defined = per_split[np.isfinite(per_split)]
    mean = float(defined.mean()) if len(defined) else None
    spread = per_replicate[np.isfinite(per_replicate)]
    if not len(spread):
        return Interval(mean)
    low, high = np.percentile(spread, [2.5, 97.5])
    return Interval(mean, float(low), float(high))


def scores_of(outcome: Outcome, rows: Indices | None = None) -> dict[str, dict[str, float]]:
    """Return method -> metric -> value on the test part, or on these rows of it."""
    of = slice(None) if rows is None else rows
    measured = Values.of(outcome.measured[of])
    found = {}
    for method, scores in outcome.ranking.items():
        ranking, fitted = Values.of(scores[of]), Values.of(outcome.fitted[method][of])
        found[method] = {
            name: metric.function(measured, fitted if name == "rmse" else ranking)
            for name, metric in METRICS.items()
        }
    return found


def collected(scores: Iterable[dict[str, dict[str, float]]]) -> Samples:
    """Return method -> metric -> the values of all `scores`; empty without any."""
    rows = list(scores)
    if not rows:
        return {}
    return {
        method: {name: np.array([row[method][name] for row in rows]) for name in METRICS}
        for method in rows[0]
    }


def _rows_by_group(groups: Indices) -> Callable[[np.random.Generator], Indices]:
    """Return a function that draws groups with replacement and gives their rows."""
    order = np.argsort(groups, kind="stable")
    _, start, size = np.unique(groups[order], return_index=True, return_counts=True)

    def draw(rng: np.random.Generator) -> Indices:
        drawn = rng.integers(len(start), size=len(start))
        sizes = size[drawn]
        # position within its group of each row to be taken
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows: Indices = order[np.repeat(start[drawn], sizes) + within]
        return rows

    return draw
