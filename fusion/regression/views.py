"""What `auto` sees of an indicator table: a prior score, indicators, graph features, the encoding."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fusion.indicators import INDICATORS
from fusion.regression.checked import different, matrix, number, positive, vector, whole
from fusion.regression.columns import Array
from fusion.regression.consensus import INDICATORS as CONSENSUS
from fusion.regression.consensus import SIZE, agrees, log_ranks
from fusion.regression.relevance_process import Rows
from fusion.regression.smoothing import Smoothing
from fusion.regression.transform import IndicatorTransform

_ENCODING = "encoding."
_GRAPH = "graph_"
# Architectures of a pool from which smoothing is learned.
_FEWEST = 50
# Standard deviations beyond which values are drawn in.
_FAR = 4.0

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prior:
    """The consensus of indicators (see `fusion.regression.consensus`), standardised over the pool.

    Attributes
    ----------
    columns : ndarray of int
        Of the indicators' ranks.
    signs, weights : ndarray
        1 or -1, and the weight, of each.
    size : int
        Architectures of the pool.
    centre, scale : float
    """

    columns: Places
    signs: Array
    weights: Array
    size: int
    centre: float
    scale: float

    @classmethod
    def learn(cls, names: Sequence[str], ranks: Array) -> Prior:
        """Return the consensus of those of its indicators that differ; without any, of all columns.

        Parameters
        ----------
        names : sequence of str
            Of the columns.
        ranks : ndarray, shape (n, p)
            Gaussian scores of the pool's ranks.
        """
        differ = ranks.min(axis=0) < ranks.max(axis=0)
        places = [j for j, name in enumerate(names) if name in CONSENSUS and differ[j]]
        columns = np.array(places or np.flatnonzero(differ), dtype=np.intp)
        known = [names[j] for j in columns]
        up = [name not in INDICATORS or INDICATORS[name].higher_is_better for name in known]
        signs = np.where(up, 1.0, -1.0)
        turned = ranks[:, columns] * signs
        if not len(columns):
            return cls(columns, signs, np.empty(0), len(ranks), 0.0, 1.0)
        size = [j for j, name in enumerate(known) if name in SIZE] or [*range(len(known))]
        order = np.column_stack([rankdata(column) for column in turned[:, size].T]).mean(axis=1)
        weights = agrees(turned, order)
        sums = (log_ranks(turned, len(ranks)) * weights).sum(axis=1)
        return cls(columns, signs, weights, len(ranks), float(sums.mean()), float(sums.std()) or 1.0)

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "columns": self.columns.tolist(),
            "signs": self.signs.tolist(),
            "weights": self.weights.tolist(),
            "size": self.size,
            "centre": self.centre,
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: Any, columns: int) -> Prior:
        """Return what gave `state`, of so many ranks; raises KeyError, TypeError or ValueError."""
        places = different(state["columns"], "columns", columns)
        return cls(
            places,
            vector(state["signs"], "signs", len(places)),
            vector(state["weights"], "weights", len(places)),
            whole(state["size"], "size", 1),
            number(state["centre"], "centre"),
            float(positive(vector([state["scale"]], "scale"), "scale")[0]),
        )

    def terms(self, ranks: Array) -> Array:
        """Return log(rank / N) of each of its indicators, of mean about 0 and deviation about 1."""
        # of a uniform rank the logarithm has mean -1 and standard deviation 1
        return log_ranks(ranks[:, self.columns] * self.signs, self.size) + 1

    def apply(self, ranks: Array) -> Array:
        """Return the score of each row, shape (n,)."""
        terms = log_ranks(ranks[:, self.columns] * self.signs, self.size)
        score: Array = ((terms * self.weights).sum(axis=1) - self.centre) / self.scale
        return score


@dataclass(frozen=True, eq=False)
class View:
    """Architectures as `Views` shows them; arrays of as many rows."""

    prior: Array
    terms: Array
    ranks: Array
    logs: Array
    others: Array
    encoding: Array

    @property
    def wide(self) -> Rows:
        """For a process on all that there is."""
        return Rows(self.prior, np.hstack([self.ranks, self.logs, self.others]), self.encoding)

    @property
    def narrow(self) -> Rows:
        """For a process on the indicators that were computed from networks."""
        return Rows(self.prior, self.ranks, self.encoding)

    @property
    def few(self) -> Rows:
        """For a process that only weighs the terms of the prior anew."""
        return Rows(self.prior, self.terms, self.encoding[:, :0])

    @property
    def for_trees(self) -> Array:
        """For trees, which need no second scale and make no use of the encoding."""
        return np.hstack([self.prior[:, None], self.ranks, self.others])

    @property
    def flat(self) -> Array:
        """All of it side by side, which `Views.split` takes apart."""
        return np.hstack([self.prior[:, None], self.terms, self.ranks, self.logs, self.others, self.encoding])

    def take(self, rows: Any) -> View:
        """Return some of the architectures."""
        return View(*(getattr(self, part.name)[rows] for part in dataclasses.fields(self)))

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {part.name: getattr(self, part.name).tolist() for part in dataclasses.fields(self)}


@dataclass(frozen=True, eq=False)
class Views:
    """From raw values and the Gaussian scores of their ranks to what the members of `auto` learn from.

    Indicators are seen twice, as ranks and as signed logarithms, both smoothed over the encoding where
    there is one (see `Smoothing`). Features of the cells' graphs, marks of missing values and encodings
    have no noise and stay. Columns that are the same all over the pool are left out.

    Attributes
    ----------
    indicators, others, flags, encoding : ndarray of int
        Columns: of values; of values; of the marks of missing values; of values.
    logs : IndicatorTransform or None
        Of the indicators' values; None where there are none.
    smoothing : Smoothing or None
    prior : Prior
    centre, scale : ndarray
        Of the encoding's columns.
    """

    indicators: Places
    others: Places
    flags: Places
    encoding: Places
    logs: IndicatorTransform | None
    smoothing: Smoothing | None
    prior: Prior
    centre: Array
    scale: Array

    @classmethod
    def learn(
        cls,
        names: Sequence[str],
        values: Array,
        transformer: IndicatorTransform,
        better: Array,
        is_pool: bool,
    ) -> Views:
        """Return the views that a pool teaches.

        Parameters
        ----------
        names : sequence of str
            Of the columns of `values`.
        values : ndarray, shape (n, p)
            Raw, of the pool, NaN where missing.
        transformer : IndicatorTransform
            Fitted on them, missing ones standing at the worse end.
        better : ndarray, shape (p,)
            1 where higher is better, else -1.
        is_pool : bool
            Whether they are a pool and not only what is trained on; only a pool is smoothed.
        """
        # once each: what two strings of one network share is not noise
        values = np.unique(np.where(np.isfinite(values), values, np.nan), axis=0)
        features = transformer.transform(values)
        ranks = features[:, : len(names)]
        differ = ranks.min(axis=0) < ranks.max(axis=0)
        encoded = np.array([name.startswith(_ENCODING) for name in names], dtype=bool)
        graph = np.array([name.startswith(_GRAPH) for name in names], dtype=bool)
        order = np.argsort(np.array(names), kind="stable")

        def places(mask: npt.NDArray[np.bool_]) -> Places:
            return order[mask[order]]

        indicators = places(differ & ~encoded & ~graph)
        encoding = places(differ & encoded)
        marked = features[:, len(names) :]
        flags = np.flatnonzero(
            (marked.min(axis=0, initial=1) < marked.max(axis=0, initial=0)) & ~encoded[transformer.flagged_]
        )
        logs = None
        if len(indicators):
            logs = IndicatorTransform("signed_log").fit(values[:, indicators]).fill_worse(better[indicators])
        code = np.where(np.isfinite(values[:, encoding]), values[:, encoding], 0.0)
        views = cls(
            indicators,
            places(differ & graph),
            flags,
            encoding,
            logs,
            None,
            Prior.learn([names[j] for j in indicators], ranks[:, indicators]),
            code.mean(axis=0),
            code.std(axis=0) + 1e-12,
        )
        if not (is_pool and len(encoding) and len(indicators) and len(values) >= _FEWEST):
            return views
        seen = views.of(values, features)
        smoothing = Smoothing.learn(seen.encoding, np.hstack([seen.ranks, seen.logs]))
        smooth = smoothing.apply(seen.encoding, np.hstack([seen.ranks, seen.logs]))
        prior = Prior.learn([names[j] for j in indicators], smooth[:, : len(indicators)])
        return dataclasses.replace(views, smoothing=smoothing, prior=prior)

    def of(self, values: Array, features: Array) -> View:
        """Return what is seen of architectures.

        Parameters
        ----------
        values : ndarray, shape (n, p)
            Raw.
        features : ndarray, shape (n, p + n_flags)
            As the transformer gives them.
        """
        code = np.where(np.isfinite(values[:, self.encoding]), values[:, self.encoding], 0.0)
        code = np.ascontiguousarray((code - self.centre) / self.scale)
        ranks, count = features[:, self.indicators], len(self.indicators)
        logs = ranks
        if self.logs is not None:
            logs = np.clip(self.logs.transform(values[:, self.indicators])[:, :count], -_FAR, _FAR)
        if self.smoothing is not None:
            both = self.smoothing.apply(code, np.hstack([ranks, logs]))
            ranks, logs = both[:, :count], both[:, count:]
        others = np.hstack([features[:, self.others], features[:, values.shape[1] + self.flags]])
        # row by row in memory, as it is after loading: BLAS rounds otherwise elsewhere
        ranks, logs, others = (np.ascontiguousarray(part) for part in (ranks, logs, others))
        return View(self.prior.apply(ranks), self.prior.terms(ranks), ranks, logs, others, code)

    def to_state(self) -> dict[str, Any]:
        """Return what was learned, in JSON values."""
        return {
            "indicators": self.indicators.tolist(),
            "others": self.others.tolist(),
            "flags": self.flags.tolist(),
            "encoding": self.encoding.tolist(),
            "logs": None if self.logs is None else self.logs.to_state(),
            "smoothing": None if self.smoothing is None else self.smoothing.to_state(),
            "prior": self.prior.to_state(),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_state(cls, state: Any, columns: int, features: int) -> Views:
        """Return the views that gave `state`.

        Parameters
        ----------
        state : dict
        columns, features : int
            Of the values, and of what the transformer makes of them.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is no such state.
        """
        indicators, others, encoding = (
            different(state[name], name, columns) for name in ("indicators", "others", "encoding")
        )
        logs = None
        if len(indicators):
            logs = IndicatorTransform("signed_log").restore(state["logs"])
            if logs.n_features_in_ != len(indicators):
                raise ValueError("logs are not of the indicators")
        smoothing = state["smoothing"]
        if smoothing is not None:
            smoothing = Smoothing.from_state(smoothing, len(encoding), 2 * len(indicators))
        return cls(
            indicators,
            others,
            different(state["flags"], "flags", features - columns),
            encoding,
            logs,
            smoothing,
            Prior.from_state(state["prior"], len(indicators)),
            vector(state["centre"], "centre", len(encoding)),
            positive(vector(state["scale"], "scale", len(encoding)), "scale"),
        )

    def view_from_state(self, state: Any) -> View:
        """Return the view that gave `state`; raises KeyError, TypeError or ValueError."""
        prior = vector(state["prior"], "prior")
        shapes = {name: (len(prior), width) for name, width in self._widths.items()}
        return View(prior, *(matrix(state[name], name, shape) for name, shape in shapes.items()))

    @property
    def _widths(self) -> dict[str, int]:
        """How many columns each part of a view but the prior has."""
        count = len(self.indicators)
        others = len(self.others) + len(self.flags)
        return {
            "terms": len(self.prior.columns),
            "ranks": count,
            "logs": count,
            "others": others,
            "encoding": len(self.encoding),
        }

    def split(self, flat: Array) -> View:
        """Return the view whose parts stand side by side in `flat`, see `View.flat`."""
        at = np.cumsum([1, *self._widths.values()])[:-1]
        prior, *rest = (np.ascontiguousarray(part) for part in np.split(flat, at, axis=1))
        return View(prior[:, 0], *rest)
