"""The linearised pass: absolute weights, no normalisation, an image of ones, in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fusion.probes.base import Observations, Subject, Undefined, hooked, preserved, probe
from fusion.probes.layers import weighted_layers

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)


def _hand_on(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Tensor:
    return inputs[0]


@probe(synaptic_flow="passes")
def linearised_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward and backward of one image of ones, weights replaced by their absolute values.

    Normalisation layers hand their input on. Values reach 10^61, hence float64.

    Observations
    ------------
    synaptic_flow : list of Tensor
        |w| d(sum of outputs)/d|w| for each convolution and linear layer, of its weight's shape.
    """
    network = subject.network
    names = [f"{name}.weight".removeprefix(".") for name in weighted_layers(network)]
    if not names:
        raise Undefined("the network has no convolution or linear layer")
    # tensors are swapped for the call: the network itself keeps its own
    state: dict[str, Tensor] = {n: b.detach().clone() for n, b in network.named_buffers()}
    state |= {n: p.detach().abs() for n, p in network.named_parameters()}
    state = {n: t.double() if t.is_floating_point() else t for n, t in state.items()}
    weights = [state[name].requires_grad_() for name in names]
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    with preserved(network), hooked(norms, _hand_on), torch.enable_grad():
        network.eval()
        ones = torch.ones_like(subject.x[:1], dtype=torch.float64)
        out = functional_call(network, state, (ones,))
        gradients = torch.autograd.grad(out.sum(), weights, allow_unused=True)
    return {
        "synaptic_flow": [
            torch.zeros_like(w) if g is None else (w * g).detach()
            for w, g in zip(weights, gradients, strict=True)
        ]
    }
