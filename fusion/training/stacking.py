"""Several networks of one architecture as one network, for training them together.

The S networks lie side by side in the channels: convolutions become grouped, batch normalisation
runs over all channels, the classifier is one batched product. One stacked step does the work of S
steps with the overhead of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_CHANNELWISE = (nn.ReLU, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Identity, nn.SiLU, nn.GELU)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class CannotStack(Exception):
    """The networks have a module for which there is no stacked form."""


class StackedLinear(nn.Module):
    """S linear layers: (batch, S * in) -> (batch, S * out)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().t() for layer in layers]))
        bias = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.stack(bias)[:, None]) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        out = x.reshape(len(x), len(self.weight), -1).transpose(0, 1) @ self.weight
        if self.bias is not None:
            out = out + self.bias
        return out.transpose(0, 1).flatten(1)


def _filled(stacked: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
    """Give `stacked`, made on the meta device so that nothing random is drawn, the layers' values."""
    states = [layer.state_dict() for layer in layers]
    joined = {
        name: torch.cat([state[name] for state in states]) if first.ndim else first.clone()
        for name, first in states[0].items()
    }
    stacked.load_state_dict(joined, assign=True)
    return stacked


def _stack_conv(layers: Sequence[nn.Conv2d]) -> nn.Module:
    first, n = layers[0], len(layers)
    stacked = nn.Conv2d(
        n * first.in_channels,
        n * first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        first.dilation,  # type: ignore[arg-type]
        n * first.groups,
        first.bias is not None,
        first.padding_mode,
        device="meta",
    )
    return _filled(stacked, layers)


def _stack_norm(layers: Sequence[nn.BatchNorm2d]) -> nn.Module:
    first = layers[0]
    stacked = nn.BatchNorm2d(
        len(layers) * first.num_features,
        first.eps,
        first.momentum,
        first.affine,
        first.track_running_stats,
        device="meta",
    )
    return _filled(stacked, layers)


def stack(networks: Sequence[nn.Module]) -> nn.Module:
    """Return one network that computes all `networks`; the first of them is used up.

    Images (batch, S * channels, height, width), repeated S times along the channels or different
    for each network, become logits (batch, S * classes). Networks must have the same structure
    and treat channels alike: `stack` knows modules, not what `forward` does with their results,
    so check the outputs of an architecture family once against the networks one by one. Data type
    and device are kept; the global random state is left alone.

    Raises
    ------
    CannotStack
        For a module with parameters that is no 2-d convolution, 2-d batch normalisation or
        linear layer, one that is not known to treat channels alike, or a module or parameter with
        two names, which would not be shared any more.
    """
    first = networks[0]
    if _shares(first.named_modules(remove_duplicate=False)) or _shares(
        first.named_parameters(remove_duplicate=False)
    ):
        raise CannotStack("a module or parameter has two names")
    return _stack(networks)


def _shares(named: Iterable[tuple[str, object]]) -> bool:
    identities = [id(value) for _, value in named]
    return len(set(identities)) < len(identities)


def _stack(networks: Sequence[nn.Module]) -> nn.Module:
    first = networks[0]
    if isinstance(first, nn.Conv2d):
        return _stack_conv(networks)  # type: ignore[arg-type]
    if isinstance(first, nn.BatchNorm2d):
        return _stack_norm(networks)  # type: ignore[arg-type]
    if isinstance(first, nn.Linear):
        return StackedLinear(networks)  # type: ignore[arg-type]
    children = list(first.named_children())
    if any(True for _ in first.parameters(recurse=False)) or (
        not children
        and not isinstance(first, _CHANNELWISE + _CONTAINERS)
        and type(first).__module__.startswith("torch.")
    ):
        raise CannotStack(f"no stacked form of {type(first).__name__}")
    for name, _ in children:
        setattr(first, name, _stack([getattr(network, name) for network in networks]))
    return first
