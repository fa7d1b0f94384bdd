"""The Gaussian pass: noise in, noise as weights, and what a little more noise changes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.calls import Call, Calls, Watcher
from fusion.probes.clean_pass import out_of_place
from fusion.probes.layers import CONVOLUTIONS
from fusion.probes.stages import Stages
from fusion.probes.state import having, own_parameters
from fusion.probes.survey import require
from fusion.seeding import derive_seed

SAMPLES = 16
SCALE = 0.01


@lru_cache(maxsize=4)
def _images(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(derive_seed("gaussian", seed, shape))
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def gaussian_weights(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return the network's parameters with N(0, 1) for weights of layers, 0 for biases, norms 1 and 0.

    Frozen ones are the network's own; of those with several names the first is in the result.
    """
    generator = torch.Generator().manual_seed(derive_seed("gaussian weights", seed))
    drawn: dict[str, Tensor] = {}
    for name, module, own, parameter in own_parameters(network):
        drawn[name] = parameter.detach()
        if not parameter.requires_grad:
            continue
        layer = isinstance(module, (*CONVOLUTIONS, nn.Linear))
        attention = isinstance(module, nn.MultiheadAttention)
        value = torch.empty(parameter.shape)  # float32 on the CPU whatever the network: the same draws
        if own in ("bias", "in_proj_bias"):
            value.zero_()
        elif layer or (attention and own.endswith("proj_weight")):
            value.normal_(generator=generator)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            value.fill_(1)
        else:
            value.copy_(parameter.detach())
        drawn[name] = torch.empty_like(parameter).copy_(value).detach()
    return drawn


class _Variances(Watcher):
    """Takes the mean over channels of the variance that each batch normalisation meets.

    Parameters
    ----------
    flags : list of bool or None
        Of each call, whether it is one of the images with the batch's statistics; None for all in training
        mode.
    """

    names = frozenset({"batch_norm"})

    def __init__(self, flags: list[bool] | None) -> None:
        self.flags = flags
        self.calls = 0
        self.kept: list[Tensor] = []

    def instead(self, call: Call) -> Call:
        """Let a normalisation with the batch's statistics leave them behind."""
        if call.func is not functional.batch_norm:
            return call
        place, self.calls = self.calls, self.calls + 1
        wanted = bool(call.argument(5, "training", False)) if self.flags is None else self.flags[place]
        if not wanted:
            return call
        x, weight, bias = call.input, call.argument(3, "weight"), call.argument(4, "bias")
        mean, variance = (torch.zeros(x.shape[1], dtype=x.dtype, device=x.device) for _ in range(2))
        self.kept.append(variance)
        eps = call.argument(7, "eps", 1e-5)
        return replace(call, args=(x, mean, variance, weight, bias, True, 1.0, eps), kwargs={})

    def found(self) -> list[Tensor]:
        """Return one number for each normalisation."""
        return [variance.double().mean().cpu() for variance in self.kept]


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
    network, told = subject.network, subject.survey
    require(told.detached or told.redrawn or told.coupled or told.stages)
    shape = (SAMPLES, *subject.x.shape[1:])
    x, e = (t.to(subject.x, memory_format=subject.memory_format) for t in _images(shape, subject.seed))
    weights = gaussian_weights(network, subject.seed)
    features: list[Tensor] = []
    variances: list[Tensor] = []
    with preserved(network), out_of_place(network), torch.no_grad():
        network.train()
        for images in (x + SCALE * e, x):
            stages, norms = (
                Stages(network, told.stage_calls, told.axes),
                _Variances(None if told.known else told.norms),
            )
            state = weights | {name: buffer.clone() for name, buffer in network.named_buffers()}
            with ExitStack() as stack:
                stack.enter_context(having(network, state))
                calls = stack.enter_context(Calls(norms, *stages.watched(stack)))
                network(images)
            for error in calls.failures.values():
                raise error
            if not stages.maps:
                raise Undefined("needs a stage with feature maps")
            features.append(stages.maps[-1])
            variances = norms.found()
    return {
        "gaussian_change": (features[0] - features[1]).double().abs().flatten(1).sum(1).cpu(),
        "gaussian_variances": torch.stack(variances) if variances else torch.ones(0, dtype=torch.float64),
    }
