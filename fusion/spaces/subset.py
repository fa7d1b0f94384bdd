"""Some of a space's networks as a space of their own: those whose accuracies are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from fusion.errors import InvalidArchitecture
from fusion.spaces.base import Space
from fusion.spaces.graph import CellGraph


class Subset(Space):
    """The networks of `keys` among those of `space`.

    Next to a network are its neighbours in `space`, as far as they are in the subset. Where none is,
    as in a thin sample of a large space, every other network counts as one: a mutation is then a draw.

    Parameters
    ----------
    space : Space
    keys : iterable of str
        Keys of `space`, at least two different ones.
    """

    name = "subset"
    summary = "some networks of another space"
    source = "the space"

    def __init__(self, space: Space, keys: Iterable[str]) -> None:
        self.space = space
        self.keys = list(dict.fromkeys(keys))
        self._known = set(self.keys)

    @property
    def settings(self) -> dict[str, Any]:
        return self.space.settings

    def __len__(self) -> int:
        return len(self.keys)

    def enumerate(self) -> Iterator[str]:
        return iter(self.keys)

    def read(self, text: str) -> str:
        arch = self.space.read(text)
        self.canonical(arch)
        return arch

    def canonical(self, arch: str) -> str:
        key = self.space.canonical(arch)
        if key not in self._known:
            raise InvalidArchitecture(f"{arch!r} is not among the {len(self.keys)} networks of the subset")
        return key

    def neighbours(self, arch: str) -> list[str]:
        key = self.canonical(arch)
        near = dict.fromkeys(map(self.space.canonical, self.space.neighbours(key)))
        inside = [other for other in near if other in self._known and other != key]
        return inside or [other for other in self.keys if other != key]

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        return self.space.build(arch, in_channels=in_channels, num_classes=num_classes)

    def thin(self) -> Space:
        return self.space.thin()

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        return self.space.graphs(arch)

    def features(self, arch: str) -> dict[str, float | str]:
        return self.space.features(arch)

    def twins(self, arch: str) -> str:
        return self.space.twins(arch)

    def has_dead_edge(self, arch: str) -> bool:
        return self.space.has_dead_edge(arch)
