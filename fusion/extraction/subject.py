"""The network of an architecture, ready for the passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from fusion.images import Batch
from fusion.probes.base import Subject
from fusion.seeding import derive_seed, seeded
from fusion.spaces import Space


def _build(space: Space, key: str, seed: int, in_channels: int, num_classes: int) -> nn.Module:
    with seeded(seed):
        return space.build(key, in_channels=in_channels, num_classes=num_classes)


def make_subject(space: Space, key: str, batch: Batch, *, seed: int, repeat: int) -> Subject:
    """Return the network of `key`, initialised for this repeat, with the batch on its device."""
    build: Callable[[Space, int], Callable[[], nn.Module]] = lambda where, channels: partial(  # noqa: E731
        _build, where, key, derive_seed("init", seed, key, repeat), channels, batch.num_classes
    )
    thin = space.thin()
    return Subject(
        build(space, batch.x.shape[1]),
        batch,
        seed=derive_seed("probe", seed, repeat),
        build_thin=None if thin is space else build(thin, 1),
        graphs=space.graphs(key),
    )
