"""Networks whose accuracy was measured: what is predicted of them again, or of others that are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.regression.calibration import Calibration
from fusion.regression.checked import moderate, vector, within
from fusion.regression.columns import Array

# Digits of what is seen by which networks are known again.
_DIGITS = 4
# Repeated measurements, beyond one for each network, from which noise is estimated.
_FEWEST = 5
# Noise is not taken for more than this share of the squared error of held-out predictions.
_MOST = 0.9


@dataclass(frozen=True, eq=False)
class Remembered:
    """Goals of the networks that were learned from, between what was measured and what is predicted.

    A held-out prediction p of variance s2 (of its error, less the noise n2 of a measurement) and the mean m
    of k measurements say p + w (m - p) together, w = s2 / (s2 + n2 / k), as independent estimates do. Two
    strings of one network have one goal, and measurements that differ by noise.

    Attributes
    ----------
    rows : dict of bytes to int
        What is seen of a network -> its place.
    scores, spreads : ndarray, shape (networks,)
        In the unit of the goal; spreads on the scale of the model's own.
    """

    rows: dict[bytes, int]
    scores: Array
    spreads: Array

    @classmethod
    def learn(cls, seen: Array, goal: Array, predicted: Array, spreads: Array, noise: float) -> Remembered:
        """Return what is remembered.

        Parameters
        ----------
        seen : ndarray, shape (n, p)
            Of architectures, equal rows of equal networks.
        goal, predicted, spreads : ndarray, shape (n,)
            Measured; predicted by what was not fitted on them, and how sure that was.
        noise : float
            Variance of a measurement, where there are too few of one network to tell.
        """
        keys = _keys(seen)
        rows = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        place = np.array([rows[key] for key in keys], dtype=np.intp)
        count = np.bincount(place)
        measured, expected = (np.bincount(place, part) / count for part in (goal, predicted))
        error = float(np.mean((measured - expected) ** 2))
        repeats = len(goal) - len(rows)
        if repeats >= _FEWEST:
            noise = float(np.sum((goal - measured[place]) ** 2)) / repeats
        noise = min(noise, _MOST * error)
        of_model = error - noise * float(np.mean(1 / count))
        weight = of_model / (of_model + noise / count) if error else np.zeros(len(rows))
        # how far a further measurement is off, on the scale on which errors are conformed
        off = np.sqrt(weight * noise / count + noise)
        constant = Calibration.constant_of(spreads)
        typical = float(np.sqrt(np.mean(((goal - predicted) / (spreads + constant)) ** 2)))
        wide = np.maximum(off / typical - constant, 0.0) if typical else np.zeros(len(rows))
        return cls(rows, expected + weight * (measured - expected), wide)

    def places(self, seen: Array) -> Any:
        """Return the place of each row among those remembered, -1 where it is not, shape (n,)."""
        return np.array([self.rows.get(key, -1) for key in _keys(seen)], dtype=np.intp)

    def to_state(self) -> dict[str, Any]:
        """Return scores and spreads as JSON values; the rows are the caller's."""
        return {"scores": self.scores.tolist(), "spreads": self.spreads.tolist()}

    @classmethod
    def from_state(cls, state: Any, seen: Array) -> Remembered:
        """Return what gave `state`, learned from what is `seen`; raises KeyError, TypeError or ValueError."""
        rows = {key: place for place, key in enumerate(dict.fromkeys(_keys(seen)))}
        scores = moderate(vector(state["scores"], "remembered", len(rows)), "remembered")
        spreads = within(vector(state["spreads"], "spreads", len(rows)), 0, 1e6, "spreads")
        return cls(rows, scores, spreads)


def _keys(seen: Array) -> list[bytes]:
    rounded = np.ascontiguousarray(seen.round(_DIGITS) + 0.0)  # no -0.0, whose bytes differ
    return [row.tobytes() for row in rounded]
