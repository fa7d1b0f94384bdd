"""Structure: what can be counted without a pass over the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _macs(weight: Tensor, output: Tensor) -> int:
    """Return multiply-accumulates per sample of a layer: each output sums over one row of weights."""
    return output[0].numel() * weight[0].numel()


@probe(parameter_count="structure", multiply_accumulates="structure")
def structure(subject: Subject, wanted: frozenset[str]) -> Observations:
    """No pass over the batch: parameters, and the shapes that one image meets.

    Observations
    ------------
    parameter_count : int
        Trainable parameters, batch normalisation's included.
    multiply_accumulates : int
        Of convolutions and linear layers, per image; biases, normalisation, pooling and
        activations are not counted.
    """
    network = subject.network
    found: Observations = {"parameter_count": sum(p.numel() for p in network.parameters() if p.requires_grad)}
    if "multiply_accumulates" not in wanted:
        return found
    total = 0

    def count(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        total += _macs(module.get_parameter("weight"), output)

    if any(isinstance(module, _TRANSPOSED) for module in network.modules()):
        found["multiply_accumulates"] = Undefined("multiply-accumulates of a transposed convolution")
        return found
    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, _COUNTED)]
    try:
        with preserved(network), torch.no_grad():
            network.eval()
            network(subject.batch.x[:1])
    finally:
        for handle in handles:
            handle.remove()
    found["multiply_accumulates"] = total
    return found
