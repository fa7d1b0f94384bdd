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
# Median of the square of a normal number.
_MEDIAN = 0.4549


@dataclass(frozen=True, eq=False)
class Remembered:
    """Goals of the networks that were learned from, between what was measured and what is predicted.

    A held-out prediction p whose error has the variance s2 and the mean m of k measurements with noise n2 say
    p + w (m - p) together, w = s2 / (s2 + n2 / k), as independent estimates do. s2 is what held-out errors
    are like, by their median, and where one is larger, that: there the measurement tells what no model does.
    Noise is of the accuracy, alike everywhere; on the scale of goals it is the smaller, the farther from the
    best. Two strings of one network have one goal, and measurements that differ by noise.

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
    def learn(
        cls,
        seen: Array,
        goal: Array,
        predicted: Array,
        spreads: Array,
        slopes: Array,
        noise: float,
    ) -> Remembered:
        """Return what is remembered.

        Parameters
        ----------
        seen : ndarray, shape (n, p)
            Of architectures, equal rows of equal networks.
        goal, predicted, spreads : ndarray, shape (n,)
            Measured; predicted by what was not fitted on them, and how sure that was.
        slopes : ndarray, shape (n,)
            Of the goal by the accuracy.
        noise : float
            Variance of a goal at the median slope, where too few are of one network to tell.
        """
        keys = _keys(seen)
        rows = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        place = np.array([rows[key] for key in keys], dtype=np.intp)
        count = np.bincount(place)
        measured, expected = (np.bincount(place, part) / count for part in (goal, predicted))
        squares = (measured - expected) ** 2
        typical = float(np.median(squares)) / _MEDIAN
        slope = np.bincount(place, slopes) / count
        repeats = len(goal) - len(rows)
        if repeats >= _FEWEST:
            # in the unit of accuracies, in which noise is alike
            unit = float(np.sum(((goal - measured[place]) / slopes) ** 2)) / repeats
        else:
            unit = min(noise, _MOST * typical) / float(np.median(slopes)) ** 2
        noises = unit * slope**2
        of_model = np.maximum(max(typical - float(np.median(noises / count)), 0.0), squares - noises / count)
        total = of_model + noises / count
        weight = np.divide(of_model, total, out=np.ones(len(rows)), where=total > 0)
        # how far a further measurement is off, on the scale on which errors are conformed
        off = np.sqrt(weight * noises / count + noises)
        constant = Calibration.constant_of(spreads)
        conformed = float(np.median(np.abs(goal - predicted) / (spreads + constant))) / np.sqrt(_MEDIAN)
        wide = np.maximum(off / conformed - constant, 0.0) if conformed else np.zeros(len(rows))
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
