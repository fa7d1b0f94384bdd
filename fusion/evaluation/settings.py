"""How predictions are judged: sizes that fit themselves to how many architectures there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from fusion.errors import FusionError
from fusion.evaluation.splits import MIN_TEST, MIN_TRAIN, TWINS
from fusion.settings import Expected, Flag, Settings, Whole, Wholes, one_of

FEWEST = 12
"""Architectures without which nothing is judged."""

FEW = 120
"""With fewer architectures, a third of them is kept for testing, and 10 at least."""

USUAL = 100
"""Architectures to train on, where there are `FEW` or more."""

CURVE = (25, 50, 100, 200, 400)
"""Sizes of the learning curve, as far as there are architectures."""

SMALL_CURVE = (10, *CURVE)
"""The same, where there are fewer than `FEW`."""

FEWEST_LEFT = 20
"""Architectures that a size leaves for testing, where there are `FEW` or more."""

LITERATURE = (0, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Sizes of the learning curve as publications on accuracy predictors have it."""


@dataclass(frozen=True)
class Plan:
    """Settings of which nothing is left open.

    Attributes
    ----------
    train_size : int
        Architectures to train on, for everything but the learning curve.
    train_sizes : tuple of int
        Sizes of the learning curve; may be empty. 0: what needs no accuracies, on all architectures.
    splits : int
        Random splits.
    bootstrap : int
        Bootstrap replicates; with 0, intervals are percentiles over the splits.
    seed : int
        Of splits and replicates. The models' own seeds are up to the models.
    """

    train_size: int
    train_sizes: tuple[int, ...]
    splits: int
    bootstrap: int
    seed: int

    def __post_init__(self) -> None:
        if self.splits < 1 or self.bootstrap < 0:
            raise FusionError(
                f"splits {self.splits}, bootstrap {self.bootstrap}; choose at least 1 split, 0 replicates"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """All training sizes, ascending."""
        return tuple(sorted({self.train_size, *self.train_sizes}))


@dataclass(frozen=True)
class Judging(Settings):
    """What a user asks of an evaluation.

    Attributes
    ----------
    train_size : int or None
        Architectures that models are trained on; null fits it: 100 where there are 120, else all but a
        third (10 at least).
    train_sizes : tuple of int or None
        Of the learning curve; null fits them: 25, 50, 100, 200, 400 and `train_size`, and 10 where there are
        fewer than 120 architectures, as far as they leave enough for testing. 0 judges what learns from no
        accuracies.
    splits : int
        Random splits into training and test architectures.
    bootstrap : int
        Bootstrap replicates of the intervals; with 0, intervals are percentiles over the splits.
    seed : int
        Of splits and replicates.
    twins : str
        Isomorphic architectures: `together` on one side of each split, `apart` (each string by itself, as
        most publications split), or `one` of each class (the first by its string).
    dead_edges : bool
        Also judge architectures with an operation on no path from input to output.

    Examples
    --------
    >>> import fusion
    >>> plan, notes = fusion.Judging().fit(30)
    >>> plan.train_size, plan.train_sizes
    (20, (10, 20))
    >>> notes
    ('of 30 architectures, 20 are trained on and 10 tested',)
    """

    kind = "evaluation"

    train_size: Whole | None = None
    train_sizes: Wholes | None = None
    splits: Whole = 10
    bootstrap: Whole = 200
    seed: Whole = 0
    twins: Annotated[str, one_of(TWINS), Expected(f"one of {', '.join(TWINS)}")] = "together"
    dead_edges: Flag = True

    @classmethod
    def literature(cls, **changed: Any) -> Judging:
        """Return the settings that publications on accuracy predictors use, with `changed` ones over them.

        Training sizes 0, 8, 16, ... 1,024 as far as there are architectures, 20 splits, tested on all the
        rest, 128 for what is told of one size, and percentiles over the splits as intervals.

        Examples
        --------
        >>> import fusion
        >>> plan, notes = fusion.Judging.literature(splits=5).fit(600)
        >>> plan.train_sizes, plan.splits
        ((0, 8, 16, 32, 64, 128, 256, 512), 5)
        """
        return cls(**{"train_size": 128, "train_sizes": LITERATURE, "splits": 20, "bootstrap": 0, **changed})

    def fit(self, architectures: int) -> tuple[Plan, tuple[str, ...]]:
        """Return the plan for so many architectures, and what had to be changed, one line each.

        Raises
        ------
        FusionError
            For fewer than 12 architectures, or sizes below 2 other than a 0 in `train_sizes`.
        """
        if architectures < FEWEST:
            raise FusionError(
                f"{architectures} architectures have indicators and an accuracy; judging needs at least "
                f"{FEWEST}: measure more, or extract the indicators of those that are measured"
            )
        asked = [
            *filter(None, self.train_sizes or ()),
            *([] if self.train_size is None else [self.train_size]),
        ]
        if too_small := [size for size in asked if size < MIN_TRAIN]:
            raise FusionError(f"training on {too_small[0]} architectures; choose at least {MIN_TRAIN}")
        few = architectures < FEW
        fitting = architectures - max(MIN_TEST, math.ceil(architectures / 3)) if few else USUAL
        largest = architectures - (MIN_TEST if few else FEWEST_LEFT)
        notes = []
        if self.train_size is None:
            train_size = fitting
            if few:
                notes.append(
                    f"of {architectures} architectures, {train_size} are trained on and "
                    f"{architectures - train_size} tested"
                )
        else:
            train_size = min(self.train_size, largest)
            if train_size < self.train_size:
                notes.append(
                    f"training on {self.train_size} was asked; {architectures} architectures allow "
                    f"{train_size}, to leave {architectures - largest} for testing"
                )
        if self.train_sizes is None:
            curve = SMALL_CURVE if few else CURVE
            sizes = {size for size in curve if size <= largest} | {train_size}
        else:
            sizes = {size for size in self.train_sizes if size <= largest}
            if left := sorted(set(self.train_sizes) - sizes):
                notes.append(
                    f"learning curve without {', '.join(map(str, left))}: {architectures} architectures "
                    f"allow {largest}, to leave {architectures - largest} for testing"
                )
        return Plan(train_size, tuple(sorted(sizes)), self.splits, self.bootstrap, self.seed), tuple(notes)
