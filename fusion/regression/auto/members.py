"""The members of `auto`: each learns from a view of architectures how their goal departs from the prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import ClassVar

import numpy as np

from fusion.regression.auto.relevance_process import RelevanceProcess, Rows
from fusion.regression.auto.views import View
from fusion.regression.base import FusionModel, ModelState
from fusion.regression.checked import moderate, vector
from fusion.regression.columns import Array
from fusion.regression.extra_trees import ExtraTrees
from fusion.regression.lightgbm_model import LightGBM

# Different architectures without which trees have nothing to split.
_FEWEST_FOR_TREES = 8
# The slope that is expected of what was taught, and as how many accuracies that counts.
_STEEP, _STEADY = 0.8, 15.0


class Member(ABC):
    """A fitted part of the mixture."""

    title: ClassVar[str]
    """What it is, in the words of a report."""
    files: ClassVar[tuple[str, ...]] = ()
    """Of its state."""
    slow: ClassVar[bool] = False
    """Whether it is left out where little time is to be taken."""
    for_taught: ClassVar[bool] = False
    """Whether it is of use only where other spaces taught the prior score."""

    @classmethod
    def usable(cls, view: View, architectures: int) -> bool:
        """Return whether so many different architectures suffice, seen so, with what is installed."""
        return True

    @classmethod
    @abstractmethod
    def learn(cls, view: View, goal: Array, seed: int, whole: Member | None = None) -> Member:
        """Return the member fitted on the goals of some architectures.

        Parameters
        ----------
        view : View
        goal : ndarray, shape (n,)
        seed : int
        whole : Member, optional
            The same member fitted on these architectures and others: this one is fitted in order to judge
            it. Processes begin at what it settled on; of the trees fewer suffice.
        """

    @abstractmethod
    def predict(self, view: View) -> Array:
        """Return the goal of each architecture, shape (n,)."""

    def spread(self, view: View) -> Array:
        """Return the standard deviation of the goal of each architecture, shape (n,); 1 where unknown."""
        return np.ones(len(view.prior))

    @property
    def noise(self) -> float:
        """Variance of the goal of one architecture that is measured again; 0 where unknown."""
        return 0.0

    @abstractmethod
    def to_state(self) -> ModelState:
        """Return what was learned."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: ModelState, view: View) -> Member:
        """Return what gave `state`, fitted on `view`; raises KeyError, TypeError or ValueError."""


class _Process(Member):
    freedom: ClassVar[float]

    def __init__(self, process: RelevanceProcess) -> None:
        self.process = process

    @staticmethod
    @abstractmethod
    def rows(view: View) -> Rows:
        """Return what the process sees."""

    @classmethod
    def learn(cls, view: View, goal: Array, seed: int, whole: Member | None = None) -> Member:
        start = whole.process.parameters if isinstance(whole, cls) else None
        return cls(RelevanceProcess.learn(cls.rows(view), goal, cls.freedom, start))

    def predict(self, view: View) -> Array:
        return self.process.predict(self.rows(view))

    def spread(self, view: View) -> Array:
        return self.process.spread(self.rows(view))

    @property
    def noise(self) -> float:
        return float(np.exp(self.process.parameters[6]))

    def to_state(self) -> ModelState:
        return ModelState(self.process.to_state())

    @classmethod
    def from_state(cls, state: ModelState, view: View) -> Member:
        return cls(RelevanceProcess.from_state(state.values, cls.rows(view)))


class WideProcess(_Process):
    """A Gaussian process on indicators as ranks and as logarithms, graph features and the encoding."""

    title = "Gaussian process on all features"
    freedom = 0.7

    @staticmethod
    def rows(view: View) -> Rows:
        return view.wide


class NarrowProcess(_Process):
    """A Gaussian process on the indicators that networks were run for, and the encoding."""

    title = "Gaussian process on the indicators"
    freedom = 0.5

    @staticmethod
    def rows(view: View) -> Rows:
        return view.narrow


class FewProcess(_Process):
    """A Gaussian process on the terms of the prior score: what few accuracies can say of their weights."""

    title = "Gaussian process on the consensus' terms"
    freedom = 0.5

    @staticmethod
    def rows(view: View) -> Rows:
        return view.few


class EncodingProcess(_Process):
    """A Gaussian process on the encoding alone, around the prior score."""

    title = "Gaussian process on the encoding"
    freedom = 0.7

    @staticmethod
    def rows(view: View) -> Rows:
        return view.described

    @classmethod
    def usable(cls, view: View, architectures: int) -> bool:
        return bool(view.encoding.shape[1])


class TaughtLine(Member):
    """A line through the prior score: what other spaces taught, on the scale of these accuracies.

    The slope a and the intercept b make sum((goal - a prior - b)^2) + 15 (a - 0.8)^2 least: a few
    accuracies do not turn round what was taught.
    """

    title = "what other spaces taught"
    for_taught = True

    def __init__(self, slope: float, intercept: float) -> None:
        self.slope = slope
        self.intercept = intercept

    @classmethod
    def learn(cls, view: View, goal: Array, seed: int, whole: Member | None = None) -> Member:
        prior = view.prior - view.prior.mean()
        slope = (prior @ goal + _STEADY * _STEEP) / (prior @ prior + _STEADY)
        return cls(float(slope), float(goal.mean() - slope * view.prior.mean()))

    def predict(self, view: View) -> Array:
        return self.slope * view.prior + self.intercept

    def to_state(self) -> ModelState:
        return ModelState({"slope": self.slope, "intercept": self.intercept})

    @classmethod
    def from_state(cls, state: ModelState, view: View) -> Member:
        values = vector([state.values["slope"], state.values["intercept"]], "slope and intercept")
        return cls(*moderate(values, "slope and intercept").tolist())


class _Trees(Member):
    kind: ClassVar[type[FusionModel]]
    fewer: ClassVar[dict[str, int]]
    """Settings of the model that suffice to judge it."""
    slow = True

    def __init__(self, model: FusionModel) -> None:
        self.model = model

    @classmethod
    def usable(cls, view: View, architectures: int) -> bool:
        return architectures >= _FEWEST_FOR_TREES

    @classmethod
    def learn(cls, view: View, goal: Array, seed: int, whole: Member | None = None) -> Member:
        model = cls.kind(random_state=seed, **({} if whole is None else cls.fewer))
        model._learn(view.for_trees, goal)
        return cls(model)

    def predict(self, view: View) -> Array:
        return self.model._scores(view.for_trees)

    def to_state(self) -> ModelState:
        return self.model._state()

    @classmethod
    def from_state(cls, state: ModelState, view: View) -> Member:
        model = cls.kind()
        model._restore(state, view.for_trees.shape[1])
        return cls(model)


class BoostedTrees(_Trees):
    """Boosted trees with linear leaves."""

    title = "boosted trees (LightGBM)"
    kind = LightGBM
    fewer: ClassVar = {"n_members": 2}
    files = LightGBM.files

    @classmethod
    def usable(cls, view: View, architectures: int) -> bool:
        return super().usable(view, architectures) and find_spec("lightgbm") is not None


class RandomisedTrees(_Trees):
    """Extremely randomised trees."""

    title = "extremely randomised trees"
    kind = ExtraTrees
    fewer: ClassVar = {"n_estimators": 80}
    files = ExtraTrees.files


MEMBERS: dict[str, type[Member]] = {
    "wide_process": WideProcess,
    "narrow_process": NarrowProcess,
    "few_process": FewProcess,
    "taught_line": TaughtLine,
    "encoding_process": EncodingProcess,
    "boosted_trees": BoostedTrees,
    "randomised_trees": RandomisedTrees,
}
"""In the order in which they are mixed."""
