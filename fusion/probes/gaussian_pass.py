"""The Gaussian pass: noise in, noise as weights, and what a little more noise changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.clean_pass import out_of_place
from fusion.probes.layers import CONVOLUTIONS
from fusion.probes.stages import Stages
from fusion.seeding import derive_seed

SAMPLES = 16
SCALE = 0.01


@lru_cache(maxsize=4)
def _images(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(derive_seed("gaussian", seed, shape))
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def gaussian_weights(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return the network's parameters with N(0, 1) for weights of layers, 0 for biases, norms 1 and 0."""
    generator = torch.Generator().manual_seed(derive_seed("gaussian weights", seed))
    drawn: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        layer = isinstance(module, (*CONVOLUTIONS, nn.Linear))
        for own, parameter in module.named_parameters(recurse=False):
            value = torch.empty(parameter.shape)  # float32 on the CPU whatever the network: the same draws
            if own == "bias":
                value.zero_()
            elif layer:
                value.normal_(generator=generator)
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                value.fill_(1)
            else:
                value.copy_(parameter.detach())
            drawn[f"{name}.{own}".removeprefix(".")] = torch.empty_like(parameter).copy_(value)
    return drawn


@contextmanager
def _own_statistics(network: nn.Module) -> Iterator[None]:
    """Make the running variance of batch normalisation that of the last batch."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 1.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@probe(gaussian_change="passes", gaussian_variances="passes")
def gaussian_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in training mode of x and x + 0.01 e, both N(0, 1), with N(0, 1) weights.

    16 images of the batch's size. The features compared are those of the last stage of the
    network (see `stage_modules`), before any pooling.

    Observations
    ------------
    gaussian_change : Tensor (16,), float64
        Per image, the sum over channels and positions of |f(x) - f(x + 0.01 e)|.
    gaussian_variances : Tensor (normalisations,), float64
        Per batch normalisation, the mean over channels of the variance over x that it meets.
    """
    network = subject.network
    shape = (SAMPLES, *subject.x.shape[1:])
    x, e = (t.to(subject.x, memory_format=subject.memory_format) for t in _images(shape, subject.seed))
    weights = gaussian_weights(network, subject.seed)
    features: list[Tensor] = []
    variances: list[Tensor] = []
    with preserved(network), out_of_place(network), _own_statistics(network), torch.no_grad():
        network.train()
        for images in (x + SCALE * e, x):
            stages = Stages(network)
            state = weights | {name: buffer.clone() for name, buffer in network.named_buffers()}
            with stages.watching():
                functional_call(network, state, (images,))
            if not stages.maps:
                raise Undefined("needs a stage with feature maps")
            features.append(stages.maps[-1])
            variances = [v.double().mean().cpu() for k, v in state.items() if k.endswith("running_var")]
    return {
        "gaussian_change": (features[0] - features[1]).double().abs().sum((1, 2, 3)).cpu(),
        "gaussian_variances": torch.stack(variances) if variances else torch.ones(0, dtype=torch.float64),
    }
