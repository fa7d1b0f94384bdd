"""Properties that the passes of an extraction show: what has values, and what is a network of two keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from fusion.extraction.check.sample import NotBuilt, Note, Sample, Wrong, check_property, once, parameters
from fusion.extraction.planner import Value, compute
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.indicators import select
from fusion.seeding import derive_seed
from fusion.spaces.base import Space
from fusion.work.devices import single_thread

# Architectures on which all passes are made, and the images for it.
_PASSED = 3
_IMAGES, _BATCH = "noise:3x32x32", 8
# What every network has that tells images apart; others are defined for some kinds of networks.
_EVERYWHERE = frozenset({"params", "cj", "jacobian_norm", "os"})
# Names in a sentence.
_NAMED = 4
_TOLERANCE = 1e-3


@check_property("indicators", once)
def _indicators(s: Sample, _: str) -> Wrong:
    """Make the passes that an extraction makes; those that fail for all architectures are found.

    An indicator that is not defined for such networks is only noted: as those of the cells' graphs for
    a space without cells, and of activation codes without rectifiers.
    """
    names = select("standard")
    batch = load_images(_IMAGES).batch(_BATCH, s.seed)
    found: dict[str, list[Value]] = {name: [] for name in names}
    for arch in s.archs[:_PASSED]:
        try:
            s.logits(s.build(arch), (3, 32, 32), 10, train=True)
            subject = make_subject(s.space, s.space.canonical(arch), batch, seed=s.seed, repeat=0)
        except Exception:  # which is a finding of other properties
            continue
        with single_thread():
            for value in compute(names, subject):
                found[value.indicator].append(value)
    if not found["params"]:
        raise NotBuilt
    reasons: dict[str, list[Value]] = {}
    for first, *others in found.values():
        if not any(value.value is not None for value in (first, *others)):
            reasons.setdefault(first.status, []).append(first)
    for reason, without in reasons.items():
        text = f"no architecture gets {_listed([value.indicator for value in without])}: {reason}"
        wrong = any(value.broken or value.indicator in _EVERYWHERE for value in without)
        yield text if wrong else Note(text)


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class _Function:
    """What a network computes when all weights of a shape are the same.

    Attributes
    ----------
    logits : Tensor
        For some noise images.
    gradients : list of (shape, float)
        Of each parameter, sorted: where in the network it lies does not matter.
    """

    logits: Tensor
    gradients: list[tuple[tuple[int, ...], float]]

    def equals(self, other: _Function) -> bool:
        """Whether both are the same but for rounding."""
        largest = max((norm for _, norm in self.gradients), default=0.0)
        return [shape for shape, _ in self.gradients] == [shape for shape, _ in other.gradients] and (
            self.logits.shape == other.logits.shape
            and bool((self.logits - other.logits).abs().max() <= _TOLERANCE * self.logits.abs().max())
            and all(
                math.isclose(one, two, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE * largest)
                for (_, one), (_, two) in zip(self.gradients, other.gradients, strict=True)
            )
        )


class _Candidate:
    """The network of a key, of which only as much is computed as tells it from others."""

    def __init__(self, s: Sample, key: str, thin: Space) -> None:
        self.key = key
        self.parameters = cache(lambda: parameters(s.build(key, thin)))
        self.thin = cache(lambda: _function(s, key, thin))
        self.full = cache(lambda: _function(s, key, s.space))
        self.size = cache(lambda: s.size_of(key))

    def equals(self, other: _Candidate) -> bool:
        # thin ones are soon told apart; that they are equal says nothing, for their widths may be
        return (
            self.parameters() == other.parameters()
            and self.thin().equals(other.thin())
            and self.size() == other.size()
            and self.full().equals(other.full())
        )


def _function(s: Sample, key: str, space: Space) -> _Function:
    network = s.build(key, space)
    with torch.no_grad():
        for parameter in network.parameters():
            generator = torch.Generator().manual_seed(derive_seed("weights", tuple(parameter.shape)))
            drawn = torch.randn(parameter.shape, generator=generator)
            fan = parameter[0].numel() if parameter.dim() > 1 else 0
            parameter.copy_(drawn / fan**0.5 if fan else 0.5 + drawn / 4)
    logits = s.logits(network, (3, 32, 32), 10, train=True)
    functional.cross_entropy(logits, torch.arange(len(logits))).backward()
    return _Function(
        logits.detach(),
        sorted((tuple(p.shape), float(p.grad.norm())) for p in network.parameters() if p.grad is not None),
    )


@check_property("twins", once)
def _twins(s: Sample, _: str) -> Wrong:
    """Look for networks that have two keys."""
    try:
        thin = s.space.thin()
    except Exception:  # which is a finding of other properties
        raise NotBuilt from None
    known: list[_Candidate] = []
    for candidate in (_Candidate(s, key, thin) for key in s.some_keys):
        try:
            candidate.parameters()
            twin = next((other for other in known if candidate.equals(other)), None)
        except Exception:  # the same
            continue
        if twin is None:
            known.append(candidate)
            continue
        yield (
            f"{candidate.key} and {twin.key} are the same network, with two keys: equal parameters and "
            "multiply-accumulates, and with equal weights equal outputs and gradients; "
            "let `canonical` give both one key"
        )
