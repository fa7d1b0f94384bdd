"""Weights other than the network's own, for passes whose source asks for them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fusion.seeding import derive_seed


def kaiming(network: nn.Module, mode: Literal["fan_in", "fan_out"], seed: int) -> dict[str, Tensor]:
    """Return parameters: convolutions and linear layers N(0, 2 / fan), biases 0, norms 1 and 0.

    Others are the network's own, which is left as it is.
    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, arXiv:1502.01852.
    """
    generator = torch.Generator().manual_seed(derive_seed(f"kaiming_{mode}", seed))
    drawn = {name: parameter.detach() for name, parameter in network.named_parameters()}
    for name, module in network.named_modules():
        path = f"{name}." if name else ""
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = torch.empty(module.weight.shape)  # float32 whatever the network: the same draws
            nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu", generator=generator)
            drawn[f"{path}weight"] = torch.empty_like(module.weight).copy_(weight)
        elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            drawn[f"{path}weight"] = torch.ones_like(module.weight)
        else:
            continue
        if module.bias is not None:
            drawn[f"{path}bias"] = torch.zeros_like(module.bias)
    return drawn
