"""Properties of a space's networks: they run, are what was asked for, and are those of their keys."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fusion.extraction.check.sample import Failed, NotBuilt, Sample, Wrong, check_property, parameters
from fusion.seeding import seeded
from fusion.spaces.base import Space


@check_property("build")
def _build(s: Sample, arch: str) -> Wrong:
    for options in ({}, {"in_channels": 1, "num_classes": 7}):
        with seeded(s.seed):
            network = s.space.build(arch, **options)
        if not isinstance(network, nn.Module):
            raise Failed(f"`build` returns {type(network).__name__}, not a module")
        if not parameters(network):
            raise Failed("the network has no trainable parameters")
    yield from ()


@check_property("training")
def _training(s: Sample, arch: str) -> Wrong:
    network = s.build(arch)
    s.logits(network, (3, 32, 32), 10, train=True).sum().backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    if not grads:
        yield "no parameter gets a gradient"
    if not all(torch.isfinite(grad).all() for grad in grads):
        yield "some gradients are not finite"


@check_property("evaluation")
def _evaluation(s: Sample, arch: str) -> Wrong:
    network = s.build(arch)
    with torch.no_grad():
        first, second = (s.logits(network, (3, 32, 32), 10, train=False) for _ in range(2))
    if not torch.equal(first, second):
        yield "the network gives other logits for the same images in evaluation mode"


@check_property("class count")
def _class_count(s: Sample, arch: str) -> Wrong:
    s.logits(s.build(arch, in_channels=1, num_classes=7), (1, 8, 8), 7, train=True)
    yield from ()


@check_property("seed")
def _seed(s: Sample, arch: str) -> Wrong:
    weights = [s.build(arch).state_dict() for _ in range(2)]
    with seeded(s.seed + 1):
        other = s.space.build(arch).state_dict()

    def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
        return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)

    if not equal(*weights):
        yield "the same seed of torch gives other weights; draw them from torch's global state alone"
    if equal(weights[0], other):
        yield "another seed of torch gives the same weights"


@check_property("global seed", lambda s: s.archs[:1])
def _global_seed(s: Sample, arch: str) -> Wrong:
    draws = [_drawn_after(lambda: s.space.build(arch), seed) for seed in (s.seed + 1, s.seed + 2)]
    for name in draws[0]:
        if draws[0][name] == draws[1][name]:
            yield (
                f"`build` leaves the global seed of {name} set: what is drawn afterwards is always the "
                "same; do not set it, for it is set before `build` is called"
            )


def _drawn_after(function: Callable[[], object], seed: int) -> dict[str, float]:
    """Return what global generators draw after a call, set to `seed` before; they are then as before."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            try:
                function()
            except Exception as error:
                raise NotBuilt from error
            return {
                "torch": float(torch.rand(1)),
                "numpy": float(np.random.random()),  # noqa: NPY002
                "Python's random": random.random(),
            }
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


@check_property("thin")
def _thin(s: Sample, arch: str) -> Wrong:
    thin = s.space.thin()
    if not isinstance(thin, Space):
        raise Failed(f"`thin` returns {type(thin).__name__}, not a space")
    with seeded(s.seed):
        network = thin.build(arch, in_channels=1)
    s.logits(network, (1, 3, 3), 10, train=True)
    small, full = parameters(network), parameters(s.build(arch, in_channels=1))
    if small > full:
        yield f"the thin network has {small} parameters, more than the {full} of the full one"


@check_property("one network per key", lambda s: list(s.shared_keys))
def _one_network_per_key(s: Sample, key: str) -> Wrong:
    first, *others = s.shared_keys[key]
    size = s.size_of(first)
    for other in others:
        if (found := s.size_of(other)) != size:
            yield (
                f"is the key of {first} with {size[0]} parameters and {size[1]} multiply-accumulates, "
                f"and of {other} with {found[0]} and {found[1]}"
            )
