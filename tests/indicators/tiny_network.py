"""What the references share: a tiny network in float64, written out a second time by hand, and its batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fusion.extraction.planner import compute
from fusion.images.base import Batch
from fusion.indicators import INDICATORS
from fusion.probes.base import Subject

SAMPLES, CLASSES, SEED, SIDE = 17, 3, 7, 8


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu, self.conv, self.norm = nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)

    def forward(self, x):
        return x + self.norm(self.conv(self.relu(x)))


class Tiny(nn.Module):
    """Convolutions with and without bias, stride, groups and padding; norms; a block; a linear layer."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6), nn.ReLU()
        )
        self.side = nn.Conv2d(4, 6, 1, stride=2)
        self.block = Residual()
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.block(self.body(x) + self.side(x)).mean((2, 3)))


LAYERS = ("stem.0", "body.1", "side", "block.conv", "head")
NORMS = ("stem.1", "body.2", "block.norm")
RECTIFIED = ("stem.1", "body.2", "sum")


def build(channels: int = 2) -> nn.Module:
    torch.manual_seed(3)
    network = Tiny(channels)
    for name in NORMS:
        norm = network.get_submodule(name)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    return network.double()


def _make_batch() -> Batch:
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(SAMPLES, 2, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return Batch(x, torch.randint(CLASSES, (SAMPLES,), generator=generator), CLASSES)


BATCH = _make_batch()


def subject() -> Subject:
    return Subject(build, BATCH, seed=SEED, build_thin=lambda: build(1))


def values(names: list[str]) -> dict[str, float]:
    found = compute(names, subject())
    assert [v for v in found if v.value is None] == []
    return {v.indicator: v.value for v in found}


def family(*files: str) -> list[str]:
    """Names of the indicators that stand in these files of fusion/indicators."""
    return [n for n in INDICATORS if INDICATORS[n].function.__module__.rpartition(".")[2] in files]


def layer(state, name, a, **how):
    """One convolution or linear layer with the weights in `state`."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    if weight.dim() == 2:
        return a @ weight.T + bias
    return functional.conv2d(a, weight, bias, **how)


def batch_norm(state, name, a):
    """Batch normalisation with the batch's own statistics."""
    centred = a - a.mean((0, 2, 3), keepdim=True)
    scale = (centred.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
    weight, bias = (state[f"{name}.{own}"][:, None, None] for own in ("weight", "bias"))
    return centred / scale * weight + bias


def outputs(x, state, layer=layer, norm=batch_norm):
    """Return the outputs of all layers of Tiny by name, from the weights in `state`."""
    o = {"stem.0": layer(state, "stem.0", x, padding=1)}
    o["stem.1"] = norm(state, "stem.1", o["stem.0"])
    o["body.0"] = o["stem.1"].clamp(min=0)
    o["body.1"] = layer(state, "body.1", o["body.0"], stride=2, padding=1, groups=2)
    o["body.2"] = norm(state, "body.2", o["body.1"])
    o["body.3"] = o["body.2"].clamp(min=0)
    o["side"] = layer(state, "side", o["stem.1"], stride=2)
    o["sum"] = o["body.3"] + o["side"]
    o["block.relu"] = o["sum"].clamp(min=0)
    o["block.conv"] = layer(state, "block.conv", o["block.relu"], padding=1)
    o["block.norm"] = norm(state, "block.norm", o["block.conv"])
    o["block"] = o["sum"] + o["block.norm"]
    o["head"] = layer(state, "head", o["block"].mean((2, 3)))
    return o


def weights(network) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def codes(network: nn.Module, x: torch.Tensor) -> np.ndarray:
    """Signs of the inputs of the rectifiers (samples, units), 0 or 1."""
    o = outputs(x, weights(network))
    return np.concatenate([(o[name] > 0).flatten(1).numpy() for name in RECTIFIED], 1).astype(float)
