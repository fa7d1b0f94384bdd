"""Weights other than the network's own, for passes whose source asks for them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fusion.probes.layers import CONVOLUTIONS
from fusion.probes.state import own_parameters
from fusion.seeding import derive_seed


def kaiming(network: nn.Module, mode: Literal["fan_in", "fan_out"], seed: int) -> dict[str, Tensor]:
    """Return parameters: convolutions and linear layers N(0, 2 / fan), biases 0, norms 1 and 0.

    Attention's projection of its input is a linear layer. Frozen parameters and others are the network's own,
    which is left as it is; of parameters with several names the first is in the result.
    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, arXiv:1502.01852.
    """
    generator = torch.Generator().manual_seed(derive_seed(f"kaiming_{mode}", seed))
    drawn: dict[str, Tensor] = {}
    for name, module, own, parameter in own_parameters(network):
        drawn[name] = parameter.detach()
        if not parameter.requires_grad or (kind := _kind(module, own)) is None:
            continue
        if kind == "weight":
            weight = torch.empty(parameter.shape)  # float32 whatever the network: the same draws
            nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu", generator=generator)
            drawn[name] = torch.empty_like(parameter).copy_(weight)
        else:
            drawn[name] = torch.full_like(parameter, 1.0 if kind == "scale" else 0.0).detach()
    return drawn


def _kind(module: nn.Module, name: str) -> Literal["weight", "bias", "scale"] | None:
    """Return what a parameter of a module is; None for what is not drawn."""
    if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        return "bias" if name == "bias" else "weight" if name == "weight" else None
    if isinstance(module, nn.MultiheadAttention):
        return "weight" if name.endswith("proj_weight") else "bias" if name == "in_proj_bias" else None
    if isinstance(module, nn.BatchNorm2d):
        return "bias" if name == "bias" else "scale" if name == "weight" else None
    return None
