"""What `auto` sees of an indicator table: a prior score, indicators, graph features, the encoding."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fusion.regression.auto.prior import Prior
from fusion.regression.auto.relevance_process import Rows
from fusion.regression.auto.smoothing import Smoothing
from fusion.regression.checked import different, matrix, moderate, vector, within
from fusion.regression.columns import Array
from fusion.regression.order import Indices
from fusion.regression.transform import IndicatorTransform

_ENCODING = "encoding."
_GRAPH = "graph_"
# Architectures of a pool from which smoothing is learned.
_FEWEST = 50
# Share of a pool's networks that the encoding must tell apart, or it says too little of them.
_APART = 0.9
# Columns of the encoding with more values are numbers; with fewer, choices, which trees make no use of.
_CHOICES = 8
# Standard deviations beyond which values are drawn in: of logarithms, and of the encoding.
_FAR = 4.0
_FARTHEST = 1e6
# Keeps standard deviations from 0.
_THIN = 1e-12
# Digits after the point of what is seen: more say nothing of an architecture and fill saved models.
_DIGITS = 5
# Pools whose views are remembered.
_KEPT = 4
_recent: OrderedDict[bytes, Views] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, eq=False)
class View:
    """Architectures as `Views` shows them.

    Attributes
    ----------
    prior : ndarray, shape (n,)
    terms : ndarray, shape (n, n_terms)
        What the prior is the sum of.
    ranks, logs : ndarray, shape (n, n_indicators)
        Of indicators.
    others : ndarray, shape (n, n_others)
        Features of graphs, and marks of missing values.
    encoding : ndarray, shape (n, n_encoding)
        Standardised.
    numbers : ndarray, shape (n, n_numbers)
        Those columns of the encoding that are numbers and no choices.
    """

    prior: Array
    terms: Array
    ranks: Array
    logs: Array
    others: Array
    encoding: Array
    numbers: Array

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
    def described(self) -> Rows:
        """For a process that learns which columns of the encoding matter."""
        return Rows(self.prior, self.encoding, self.encoding)

    @property
    def for_trees(self) -> Array:
        """For trees, which need no second scale and make no use of choices."""
        return np.hstack([self.prior[:, None], self.ranks, self.others, self.numbers])

    @property
    def flat(self) -> Array:
        """All of it side by side, which `Views.split` takes apart."""
        every = [getattr(self, part.name) for part in dataclasses.fields(self)[1:]]
        return np.hstack([self.prior[:, None], *every])

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
        Of the encoding's columns; what is missing there is as the centre.
    numbers : ndarray of int
        Which of these are numbers and no choices.
    """

    indicators: Indices
    others: Indices
    flags: Indices
    encoding: Indices
    logs: IndicatorTransform | None
    smoothing: Smoothing | None
    prior: Prior
    centre: Array
    scale: Array
    numbers: Indices

    @classmethod
    def learn(
        cls,
        names: Sequence[str],
        values: Array,
        transformer: IndicatorTransform,
        better: Array,
        is_pool: bool,
        taught: Mapping[str, float],
    ) -> Views:
        """Return the views that architectures teach.

        Those of the last few pools are kept: repeated fits, of splits or of ever more accuracies, have one
        pool, and smoothing takes longer than the rest of a fit. What is kept is known by a digest of names
        and values, shared, and its arrays cannot be written to.

        Parameters
        ----------
        names : sequence of str
            Of the columns of `values`.
        values : ndarray, shape (n, p)
            Raw, of the pool, not finite where missing.
        transformer : IndicatorTransform
            Fitted on them, missing ones standing at the worse end.
        better : ndarray, shape (p,)
            1 where higher is better, else -1.
        is_pool : bool
            Whether they are a pool and not only what is trained on; only a pool is smoothed.
        taught : mapping of str to float
            Indicator -> weight that other spaces taught; empty where nothing was taught.
        """
        if not is_pool:
            return cls._learn(names, *_once(values, transformer), transformer, better, taught)
        said = json.dumps([list(names), values.shape, better.tolist(), dict(taught)]).encode()
        digest = hashlib.sha256(said + values.tobytes()).digest()
        with _lock:
            if digest in _recent:
                _recent.move_to_end(digest)
                return _recent[digest]
        rows = _once(values, transformer)
        views = cls._learn(names, *rows, transformer, better, taught)._smoothed(names, *rows, taught)
        for part in (views, views.prior, views.smoothing):
            for array in vars(part).values() if part is not None else ():
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)
        with _lock:
            _recent[digest] = views
            while len(_recent) > _KEPT:
                _recent.popitem(last=False)
        return views

    @classmethod
    def _learn(
        cls,
        names: Sequence[str],
        values: Array,
        features: Array,
        transformer: IndicatorTransform,
        better: Array,
        taught: Mapping[str, float],
    ) -> Views:
        """Return the views without smoothing, of values and features that `_once` gave."""
        ranks = features[:, : len(names)]
        differ = ranks.min(axis=0) < ranks.max(axis=0)
        encoded = np.array([name.startswith(_ENCODING) for name in names], dtype=bool)
        graph = np.array([name.startswith(_GRAPH) for name in names], dtype=bool)
        order = np.argsort(np.array(names), kind="stable")

        def places(mask: npt.NDArray[np.bool_]) -> Indices:
            return order[mask[order]]

        indicators = places(differ & ~encoded & ~graph)
        encoding = places(differ & encoded)
        marked = features[:, len(names) :]
        told = np.zeros(len(names), dtype=bool)
        told[transformer.flagged_] = marked.min(axis=0, initial=1) < marked.max(axis=0, initial=0)
        flags = np.searchsorted(transformer.flagged_, places(told & ~encoded))
        logs = None
        if len(indicators):
            logs = IndicatorTransform("signed_log").fit(values[:, indicators]).fill_worse(better[indicators])
        code = np.where(np.isfinite(values[:, encoding]), values[:, encoding], np.nan)
        centre = np.nanmean(code, axis=0)
        code = np.where(np.isnan(code), centre, code)
        numbers = [j for j, column in enumerate(code.T) if len(np.unique(column)) > _CHOICES]
        return cls(
            indicators,
            places(differ & graph),
            flags,
            encoding,
            logs,
            None,
            Prior.learn([names[j] for j in indicators], ranks[:, indicators], taught),
            centre,
            code.std(axis=0) + _THIN,
            np.array(numbers, dtype=np.intp),
        )

    def _smoothed(
        self, names: Sequence[str], values: Array, features: Array, taught: Mapping[str, float]
    ) -> Views:
        """Return the views with indicators smoothed over the encoding, where that describes a pool enough."""
        if not (len(self.encoding) and len(self.indicators) and len(values) >= _FEWEST):
            return self
        seen = self.of(values, features)
        if len(np.unique(seen.encoding, axis=0)) < _APART * len(values):
            return self  # the differences of networks that are encoded alike are no noise
        both = np.hstack([seen.ranks, seen.logs])
        smoothing = Smoothing.learn(seen.encoding, both)
        ranks = smoothing.apply(seen.encoding, both)[:, : len(self.indicators)]
        prior = Prior.learn([names[j] for j in self.indicators], ranks, taught)
        return dataclasses.replace(self, smoothing=smoothing, prior=prior)

    def of(self, values: Array, features: Array) -> View:
        """Return what is seen of architectures.

        Parameters
        ----------
        values : ndarray, shape (n, p)
            Raw.
        features : ndarray, shape (n, p + n_flags)
            As the transformer gives them.
        """
        code = np.where(np.isfinite(values[:, self.encoding]), values[:, self.encoding], self.centre)
        code = np.clip(np.ascontiguousarray((code - self.centre) / self.scale), -_FARTHEST, _FARTHEST)
        code = code.round(_DIGITS)
        ranks, count = features[:, self.indicators], len(self.indicators)
        logs = ranks
        if self.logs is not None:
            logs = np.clip(self.logs.transform(values[:, self.indicators])[:, :count], -_FAR, _FAR)
        if self.smoothing is not None:
            both = self.smoothing.apply(code, np.hstack([ranks, logs]))
            ranks, logs = both[:, :count], both[:, count:]
        others = np.hstack([features[:, self.others], features[:, values.shape[1] + self.flags]])
        # row by row in memory, as it is after loading: BLAS rounds otherwise elsewhere
        ranks, logs, others = (np.ascontiguousarray(part).round(_DIGITS) for part in (ranks, logs, others))
        terms = self.prior.terms(ranks).round(_DIGITS)
        numbers = np.ascontiguousarray(code[:, self.numbers])
        return View(self.prior.apply(ranks), terms, ranks, logs, others, code, numbers)

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
            "numbers": self.numbers.tolist(),
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
        scale = vector(state["scale"], "scale", len(encoding))
        return cls(
            indicators,
            others,
            different(state["flags"], "flags", features - columns),
            encoding,
            logs,
            smoothing,
            Prior.from_state(state["prior"], len(indicators)),
            vector(state["centre"], "centre", len(encoding)),
            within(scale, _THIN, np.inf, "scale"),
            # models of before there were any have none
            different(state.get("numbers", []), "numbers", len(encoding)),
        )

    def view_from_state(self, state: Any) -> View:
        """Return the view that gave `state`; raises KeyError, TypeError or ValueError."""
        prior = vector(state["prior"], "prior")
        state = {"numbers": [[]] * len(prior), **state}
        rest = [matrix(state[name], name, (len(prior), width)) for name, width in self._widths.items()]
        return View(*(moderate(part, "what was seen") for part in (prior, *rest)))

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
            "numbers": len(self.numbers),
        }

    def split(self, flat: Array) -> View:
        """Return the view whose parts stand side by side in `flat`, see `View.flat`."""
        at = np.cumsum([1, *self._widths.values()])[:-1]
        prior, *rest = (np.ascontiguousarray(part) for part in np.split(flat, at, axis=1))
        return View(prior[:, 0], *rest)


def _once(values: Array, transformer: IndicatorTransform) -> tuple[Array, Array]:
    """Return different rows, sorted, NaN where missing, and their features.

    What two strings of one network share is not noise.
    """
    # NaN only afterwards: none equals another
    values = np.unique(np.where(np.isfinite(values), values, np.inf), axis=0)
    values[np.isinf(values)] = np.nan
    return values, transformer.transform(values)
