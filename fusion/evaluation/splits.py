"""Random splits by groups, as which isomorphic twins stay together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.errors import FusionError
from fusion.seeding import derive_seed

MIN_TEST = 10
MIN_TRAIN = 2

_ALIKE = "Every method is judged on the same splits, on all architectures not trained on."
TWINS = {
    "together": "At random, by groups: isomorphic architectures share a group and are never on both "
    f"sides of a split. {_ALIKE}",
    "apart": "At random, each architecture string by itself, as most publications do: isomorphic ones may be "
    f"on both sides of a split, which flatters every method. {_ALIKE}",
    "one": "At random, among architectures of which no two are isomorphic: the first of each class by its "
    f"string stands for it, with its own accuracy. {_ALIKE}",
}
"""How isomorphic architectures are treated -> how splits are made then."""


def split(
    groups: Sequence[Any] | NDArray[Any], train_size: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split at random into training and test part by whole groups.

    Groups in random order go to the training part, except those that would make it larger than
    `train_size`, so that exactly `train_size` is reached where the group sizes allow it.

    Parameters
    ----------
    groups : sequence, length architectures
        Label of each architecture's group.
    train_size : int
        How many architectures to train on.
    seed : int
        Equal seeds give equal splits, whatever the order of the architectures. With one seed, a
        smaller `train_size` draws from the same order of groups.

    Returns
    -------
    train, test : ndarray of int
        Positions in `groups`, ascending.

    Raises
    ------
    FusionError
        When fewer than 2 would be trained on or fewer than 10 tested.
    """
    total = len(groups)
    if not MIN_TRAIN <= train_size <= total - MIN_TEST:
        raise FusionError(
            f"train_size {train_size} with {total} architectures; choose between {MIN_TRAIN} and "
            f"{total - MIN_TEST}, to leave {MIN_TEST} for testing"
        )
    _, code, size = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    rng = np.random.default_rng(derive_seed("split", seed))
    chosen = np.zeros(len(size), dtype=bool)
    room = train_size
    for group in rng.permutation(len(size)):
        if size[group] <= room:
            chosen[group] = True
            room -= size[group]
    train = np.flatnonzero(chosen[code])
    if len(train) < MIN_TRAIN:
        raise FusionError(f"train_size {train_size} is smaller than the groups of twins; choose a larger one")
    return train, np.flatnonzero(~chosen[code])
