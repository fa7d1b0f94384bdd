"""How feature maps lie in memory: with the channels last where a network is found to work there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fusion.probes.calls import Call

# Layers that know both formats and change neither a shape nor a value by it.
_LAYERS = frozenset(
    {
        *(nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Identity, nn.Flatten, nn.Linear, nn.Conv2d),
        *(nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
    }
)
# Images of the trial, and by how much its outputs may differ, relative to the largest.
_IMAGES = 4
_TOLERANCE = 1e-3


def lay_out(x: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return images in a memory format; others than (batch, channels, height, width) as they are."""
    if x.dim() != 4:
        return x
    if memory_format is torch.channels_last:
        return x.contiguous(memory_format=memory_format)
    # the strides of one-channel images say either format: `contiguous` would leave them as they are
    return x.clone(memory_format=memory_format)


def fastest_format(
    network: nn.Module, x: Tensor, forward: Callable[[Tensor], Any], *, weights_learn: bool = True
) -> tuple[nn.Module, torch.memory_format]:
    """Return the network in the faster memory format of those in which it works, and this format.

    On a CPU average pooling and normalisation are several times as fast with channels last, but a
    `view` or a weight of five dimensions fails there, and what draws at random draws in another
    order. So networks of others are run in both formats, and outputs must agree but for rounding.

    Parameters
    ----------
    network : Module
        Changed in place, on the device of `x`.
    x : Tensor
        Images (batch, channels, height, width).
    forward : callable
        Images -> what the network gives, each time from the same state and random draws.
    weights_learn : bool
        Whether gradients of the weights will be taken.
    """
    default = torch.contiguous_format
    if x.device.type != "cpu" or x.dim() != 4:
        Kept(network).to_default()
        return network, default
    crashes = weights_learn and any(map(_crashes, network.modules()))
    if not crashes and all(_is_known(module) for module in network.modules()):
        return network.to(memory_format=torch.channels_last), torch.channels_last  # type: ignore[call-overload]
    Kept(network).to_default()
    kept = Kept(network)
    seen = _Strided()
    try:
        with seen:
            expected = forward(lay_out(x[:_IMAGES], default))
        if crashes or (weights_learn and seen.crashes):
            return network, default
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found = forward(lay_out(x[:_IMAGES], torch.channels_last).clone())
        works = _agree(list(_tensors(expected)), list(_tensors(found)))
    except Exception:  # whatever another's network raises; where it fails in both formats, the passes say why
        works = False
    if works:
        return network, torch.channels_last
    kept.put_back()
    return network, default


class _Strided(TorchFunctionMode):
    """Finds out whether a convolution is called whose backward pass ends the process with channels last.

    In oneDNN (as of torch 2.13) the gradient of a weight of one pixel, applied in steps to two to seven
    channels, is written beyond its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crashes = False

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function, and look whether it is such a convolution."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "conv2d":
            call = Call(-1, "conv2d", func, args, kwargs)
            self.crashes |= _goes_wrong(call.argument(1, "weight"), call.argument(3, "stride", 1))
        return func(*args, **kwargs)


def _crashes(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and _goes_wrong(module.weight, module.stride)


def _goes_wrong(weight: Tensor, stride: int | Sequence[int]) -> bool:
    steps = max(stride) if isinstance(stride, Sequence) else stride
    return tuple(weight.shape[2:]) == (1, 1) and steps > 1 and 2 <= weight.shape[1] <= 7


class Kept:
    """The parameters and buffers of networks, to be had again with the strides that they have now."""

    def __init__(self, *networks: nn.Module) -> None:
        self.kept = [
            (tensor, tensor.data)
            for network in networks
            for tensor in (*network.parameters(), *network.buffers())
        ]

    def to_default(self) -> None:
        for tensor, data in self.kept:
            if data.dim() > 3:  # not `contiguous`: see `lay_out`
                tensor.data = data.clone(memory_format=torch.contiguous_format)

    def put_back(self) -> None:
        for tensor, data in self.kept:
            tensor.data = data


def is_of_spaces(network: nn.Module) -> bool:
    """Whether a network is one of this library's search spaces, of which all is known."""
    if _is_ours(network):
        return True
    return any(map(_is_ours, network.modules())) and all(map(_is_known, network.modules()))


def _is_ours(module: nn.Module) -> bool:
    return type(module).__module__.startswith("fusion.spaces.")


def _is_known(module: nn.Module) -> bool:
    """Whether a module is one of this package, or a layer of torch's as torch made it."""
    cls = type(module)
    return (
        (cls in _LAYERS or _is_ours(module))
        and "forward" not in vars(module)
        and not (module._forward_hooks or module._forward_pre_hooks)
    )


def _tensors(output: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a network gives, also where it gives several."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


def _agree(expected: list[Tensor], found: list[Tensor]) -> bool:
    return (
        bool(expected)
        and [t.shape for t in expected] == [t.shape for t in found]
        and all(
            bool(b.isfinite().all() and (a - b).abs().max() <= _TOLERANCE * a.abs().max())
            for a, b in zip(expected, found, strict=True)
        )
    )
