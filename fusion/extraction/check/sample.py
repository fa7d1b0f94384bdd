"""What the properties of a space are checked on, and the list of these properties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from fusion.errors import InvalidArchitecture
from fusion.registry import Registry
from fusion.seeding import derive_seed, seeded
from fusion.spaces.base import Space

# Of these around an architecture, so many are looked at where each needs a network.
_NEAR = 8


class Failed(Exception):
    """Ends the examination of one architecture; the message is the finding."""


class NotBuilt(Exception):
    """There is no network that runs, which is the finding of another property."""


class Note(str):
    """What is yielded where nothing is wrong, but something is to be known."""


@dataclass
class Sample:
    """A space with the architectures that are examined.

    `listing` fills in `archs` and `listed`, `features` which names of features stand for texts.
    """

    space: Space
    size: int
    seed: int
    archs: list[str] = field(default_factory=list)
    listed: frozenset[str] | None = None
    texts: dict[str, bool] = field(default_factory=dict)

    def rng(self, *parts: str) -> np.random.Generator:
        """Return a generator of its own for this purpose."""
        return np.random.default_rng(derive_seed("check", self.seed, *parts))

    def build(self, arch: str, space: Space | None = None, **options: int) -> nn.Module:
        """Return the network of `arch` in this or another space; the same for the same seed."""
        try:
            with seeded(self.seed):
                network = (self.space if space is None else space).build(arch, **options)
        except Exception as error:
            raise NotBuilt from error
        if not isinstance(network, nn.Module):
            raise NotBuilt
        return network

    def logits(self, network: nn.Module, size: tuple[int, int, int], classes: int, *, train: bool) -> Tensor:
        """Return the logits of four noise images of this size (channels, height, width)."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.randn(4, *size, generator=generator)
        where = f"in {'training' if train else 'evaluation'} mode on images {'x'.join(map(str, size))}"
        try:
            logits = network.train(train)(x)
        except Exception as error:
            raise Failed(f"the network does not run {where}: {told(error)}") from error
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if shape != (4, classes):
            raise Failed(f"the network gives {shape} for 4 images and {classes} classes, not (4, {classes})")
        if not torch.isfinite(logits).all():
            raise Failed(f"the network gives values that are not finite {where}")
        found: Tensor = logits
        return found

    def around(self, arch: str) -> set[str]:
        """Return `arch`, its key, its neighbours and its other spellings, as far as there are any."""
        try:
            return {arch, self.space.canonical(arch), *self.space.neighbours(arch), *self.spellings(arch)}
        except Exception:  # which is a finding of other properties
            return {arch}

    def spellings(self, arch: str) -> list[str]:
        """Return other strings of the same architecture, from a space that knows how to write them."""
        relabel = getattr(self.space, "relabellings", None)
        return list(relabel(arch, self.rng("relabellings", arch))) if relabel else []

    def invalid(self, arch: object) -> str:
        """Return why `arch` is no architecture of the space; empty where it is one."""
        if not isinstance(arch, str):
            return f"{arch!r}, which is no string"
        try:
            key = self.space.canonical(arch)
        except InvalidArchitecture as error:
            return f"{arch}, which is no architecture ({error})"
        if self.listed is not None and not self.listed & {arch, key}:
            return f"{arch}, which `enumerate` does not list"
        return ""

    @cached_property
    def shared_keys(self) -> dict[str, list[str]]:
        """Each key that several strings of the sample and around it share, with these strings."""
        groups: dict[str, list[str]] = {}
        for arch in sorted(set().union(*map(self.around, self.archs))):
            try:
                groups.setdefault(self.space.canonical(arch), []).append(arch)
            except Exception:  # which is a finding of other properties
                continue
        return {key: archs for key, archs in groups.items() if len(archs) > 1}

    @cached_property
    def some_keys(self) -> list[str]:
        """The keys of the sample and of a few neighbours of each of its architectures."""
        keys: dict[str, None] = {}
        for arch in self.archs:
            near = sorted(self.around(arch) - {arch})
            chosen = self.rng("near", arch).permutation(len(near))[:_NEAR]
            for other in (arch, *(near[i] for i in chosen)):
                with suppress(Exception):  # which is a finding of other properties
                    keys[self.space.canonical(other)] = None
        return list(keys)

    def size_of(self, arch: str, space: Space | None = None) -> tuple[int, int]:
        """Return the network's parameters, and its multiply-accumulates for an image 3x32x32.

        The latter are those of convolutions and linear layers.
        """
        network = self.build(arch, space)
        try:
            return _count(network)
        except Exception as error:
            raise NotBuilt from error


def _count(network: nn.Module) -> tuple[int, int]:
    macs = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        weight = module.weight
        assert isinstance(weight, Tensor)
        macs += output.numel() // weight.shape[0] * weight.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32))
    return parameters(network), macs


def parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


Wrong: TypeAlias = Iterator[str]
"""What is wrong, each in one sentence."""


@dataclass(frozen=True)
class Property:
    """What is wrong with one architecture, and over which architectures to ask."""

    name: str
    examine: Callable[[Sample, str], Wrong]
    over: Callable[[Sample], Sequence[str]]


PROPERTIES: Registry[Property] = Registry("property")


def check_property(
    name: str, over: Callable[[Sample], Sequence[str]] = attrgetter("archs")
) -> Callable[[Callable[[Sample, str], Wrong]], None]:
    """Return a decorator that registers a property; `over` is what it is asked about."""

    def register(examine: Callable[[Sample, str], Wrong]) -> None:
        PROPERTIES.register(Property(name, examine, over))

    return register


def once(_: Sample) -> list[str]:
    """Return the one thing that a property of the space as a whole is asked about."""
    return [""]


def told(error: Exception) -> str:
    """Return what an exception of another's code says, on one line."""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:300]
