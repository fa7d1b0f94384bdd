"""What a model is fitted to: the accuracy, its rank's Gaussian score, or its gap to the best; mapped back."""

from __future__ import annotations

import numpy as np

from fusion.errors import FusionError
from fusion.regression.checked import increasing, vector
from fusion.regression.columns import Array, Quantile

TARGETS = ("gaussian", "accuracy", "gap")

# Of the distance from the median to the best training accuracy: how far above the best the logarithm of
# "gap" begins.
_ROOM = 0.5
# By which, and not by less, 1 can be divided.
_LEAST = float(np.finfo(np.float64).tiny)


def learn_target(kind: str, accuracies: Array) -> tuple[Array, Array | None]:
    """Return what stands for each accuracy, and the levels by which scores become accuracies again.

    Parameters
    ----------
    kind : {"gaussian", "accuracy", "gap"}
        "gaussian": the Gaussian score of the accuracy's rank among the training accuracies. These have
        a long lower tail, and a few collapsed networks would otherwise decide what is learned.
        "accuracy": the accuracy itself.
        "gap": -log(best + (best - median) / 2 - accuracy), standardised: how close an accuracy comes to
        the best, on a scale on which each halving of the gap counts alike. It draws the lower tail in as
        "gaussian" does, and does not stretch differences that a few ranks happen to have. Where the median
        is the best, the worst takes its place; where all are equal, the goal is 0.
    accuracies : ndarray, shape (n_architectures,)

    Returns
    -------
    goal : ndarray, shape (n_architectures,)
    levels : ndarray, shape (2, n_levels), or None
        Scores and the accuracies that they stand for, both increasing; None for "accuracy".

    Raises
    ------
    FusionError
        When `kind` is not known.
    """
    if kind not in TARGETS:
        raise FusionError(f"target {kind!r} is not known; use 'gaussian', 'accuracy' or 'gap'")
    if kind == "accuracy":
        return accuracies, None
    if kind == "gap":
        return _gap(accuracies)
    ranks = Quantile.learn(accuracies)
    distinct = np.unique(accuracies)
    return ranks.apply(accuracies), np.array([ranks.apply(distinct), distinct])


def _gap(accuracies: Array) -> tuple[Array, Array]:
    distinct = np.unique(accuracies)
    # in a unit, a power of 2, in which nothing overflows
    exponent = np.frexp(np.abs(distinct).max())[1]
    scaled, best = np.ldexp(accuracies, -exponent), np.ldexp(distinct[-1], -exponent)
    room = best - np.median(scaled)
    # half of them or more may be the best
    room = room if room >= _LEAST else best - scaled.min()
    if room < _LEAST:
        return np.zeros_like(accuracies), np.array([[0.0], distinct[-1:]])
    goal = -np.log((best - scaled) / room + _ROOM)
    centre, spread = goal.mean(), goal.std()
    levels = (-np.log((best - np.ldexp(distinct, -exponent)) / room + _ROOM) - centre) / spread
    apart = np.concatenate([[True], np.diff(levels) > 0])  # else rounding made them one
    return (goal - centre) / spread, np.array([levels[apart], distinct[apart]])


def slopes(accuracies: Array) -> Array:
    """Return by how much the goal "gap" grows with each accuracy, but for a factor; shape as `accuracies`."""
    best = accuracies.max()
    room = best - np.median(accuracies) or best - accuracies.min() or 1.0
    grown: Array = 1 / ((best - accuracies) / room + _ROOM)
    return grown


def to_accuracies(score: Array, levels: Array | None) -> Array:
    """Return the accuracies at `score`: linear between levels, and beyond them as in the outer quarters.

    Strictly increasing where accuracies differ, so that the best predictions are not tied. Without
    levels the score is the accuracy.
    """
    if levels is None:
        return score
    at, accuracy = levels
    return _mapped(score, at, accuracy)


def to_scores(accuracies: Array, levels: Array | None) -> Array:
    """Return the scores that `to_accuracies` maps to `accuracies`: its inverse.

    Where all training accuracies are equal there is no inverse, and it is the difference from them.
    """
    if levels is None:
        return accuracies
    at, accuracy = levels
    return _mapped(accuracies, accuracy, at) if len(at) > 1 else accuracies - accuracy[0]


def _mapped(x: Array, at: Array, to: Array) -> Array:
    """Return the piecewise linear function through (`at`, `to`), beyond them as in the outer quarters."""
    inside: Array = np.interp(x, at, to)
    if len(at) < 2:
        return inside
    quarter = max(1, len(at) // 4)
    low = (to[quarter] - to[0]) / (at[quarter] - at[0])
    high = (to[-1] - to[-1 - quarter]) / (at[-1] - at[-1 - quarter])
    outside: Array = low * np.minimum(x - at[0], 0) + high * np.maximum(x - at[-1], 0)
    return np.add(inside, outside)


def levels_from_state(levels: object) -> Array | None:
    """Return the levels of a saved model; raises ValueError for what are none."""
    if levels is None:
        return None
    if not isinstance(levels, list) or len(levels) != 2:
        raise ValueError("levels are not two lists")
    scores = increasing(vector(levels[0], "levels"), "levels")
    return np.array([scores, increasing(vector(levels[1], "levels", len(scores)), "levels")])
