"""The Hessian of the loss times the weights, without a double backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from fusion.probes.codes import rectified, upper_end
from fusion.probes.state import having
from fusion.probes.undefined import Undefined

# Relative change of the weights.
STEP = 0.005

_LEAKY = frozenset({functional.leaky_relu, functional.leaky_relu_})
_LEARNED = frozenset({functional.prelu, torch.prelu, Tensor.prelu})


class Masks:
    """Which inputs of each rectifier were positive in a forward pass, in the order of the calls."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.order: list[int] = []

    def see(self, mask: Tensor | None, number: int) -> None:
        """Take a mask as `watch_codes` gives it."""
        if mask is not None:
            self.kept.append(mask)
        self.order.append(number)


class _Held(TorchFunctionMode):
    """Runs rectifiers on the side of zero where their inputs were, not where they are."""

    def __init__(self, masks: Masks) -> None:
        super().__init__()
        self.masks = iter([masks.kept[number] for number in masks.order])

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace rectifiers by what is linear in their input."""
        kwargs = kwargs or {}
        a = rectified(func, args, kwargs)
        if a is None:
            return func(*args, **kwargs)
        # of the arguments, only `inplace` is true or false
        in_place = func.__name__.endswith("_") or any(value is True for value in (*args, *kwargs.values()))
        mask = next(self.masks, None)
        if mask is None:
            raise Undefined("the network calls more rectifiers than before")
        out = _held(func, a.clone() if in_place else a, args, kwargs, mask)
        return a.copy_(out) if in_place else out


def _held(
    func: Callable[..., Any], a: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: Tensor
) -> Tensor:
    """Return the rectifier of `a`, of whose entries those in `mask` count as positive."""

    def argument(place: int, name: str, default: Any = None) -> Any:
        return args[place] if len(args) > place else kwargs.get(name, default)

    if func in _LEAKY:
        slope: float = argument(1, "negative_slope", 0.01)
        return a * (slope + (1 - slope) * mask)
    if func in _LEARNED:
        weight: Tensor = argument(1, "weight")
        weight = weight.view([1, -1, *[1] * (a.dim() - 2)] if a.dim() > 1 else [-1])
        return a * (weight + (1 - weight) * mask)
    if (highest := upper_end(func, args, kwargs)) is not None:
        a = a.clamp(max=highest)
    return a * mask


def _recomputes(module: nn.Module, inputs: Any) -> None:
    raise Undefined("the network computes again in its backward pass, where its rectifiers are not held")


def weight_curvature(
    network: nn.Module, x: Tensor, y: Tensor, masks: Masks, names: Sequence[str]
) -> list[Tensor]:
    """Return H w, H the Hessian of the mean cross-entropy with respect to the layers' weights w.

    Central difference of the gradient along the weights themselves,
    H w = (g((1 + h) w) - g((1 - h) w)) / 2h, h = 0.005, at the cost of two forward and backward
    passes. Rectifiers are held on the side of zero where the network itself has them: the
    second derivative that autograd gives ignores the kinks, while a difference across them does
    not, however small h is. What is left is smooth, its error of order h^2; but for the upper kink
    of ReLU6, which is not held.

    Parameters
    ----------
    network : Module
        In training mode; batch statistics are those of the batch. Left as it was.
    x, y : Tensor
        Images, labels (batch,).
    masks : Masks
        Of a forward pass of `network` on `x`.
    names : sequence of str
        Of the weights.

    Returns
    -------
    list of Tensor
        One for each weight that the loss depends on, of its shape.

    Raises
    ------
    Undefined
        Without weights, or for a network that calls modules again in its backward pass.
    """
    if not names:
        raise Undefined("no weight of a convolution or linear layer is trained")
    own = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def gradient(scale: float) -> tuple[Tensor | None, ...]:
        weights = [(own[name] * scale).requires_grad_() for name in names]
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        state = own | buffers | dict(zip(names, weights, strict=True))
        with torch.enable_grad(), having(network, state), _Held(masks):
            logits = network(x)
            loss = functional.cross_entropy(logits, y)
            handle = register_module_forward_pre_hook(_recomputes)
            try:
                return torch.autograd.grad(loss, weights, allow_unused=True)
            finally:
                handle.remove()

    above, below = gradient(1 + STEP), gradient(1 - STEP)
    return [
        (p - q) / (2 * STEP)
        for p, q in zip(above, below, strict=True)
        if p is not None and q is not None  # both are, or none
    ]
