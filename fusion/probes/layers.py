"""Layers with weights, seen one by one: their inputs, outputs, and gradients during a backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from fusion.probes.base import Undefined

Convolution: TypeAlias = (
    nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
)
CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def weighted_layers(network: nn.Module) -> dict[str, Convolution | nn.Linear]:
    """Return the convolutions and linear layers whose weights are trained, by name.

    These are the layers that pruning indicators look at; normalisation and biases are left out,
    as in zero-cost-nas (Abdelfattah et al., ICLR 2021, arXiv:2101.08134).
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)) and module.weight.requires_grad
    }


@dataclass
class LayerGradient:
    """Gradient of the loss at one layer.

    Attributes
    ----------
    weight, gradient : Tensor
        Both of the weight's shape.
    halves : Tensor or None
        (2, *weight.shape): what the first and the second half of the samples contribute to the
        gradient; None where the samples cannot be told apart in the layer's input.
    saliency : Tensor or Undefined
        (channels,): mean over samples of (sum over positions of output x gradient)^2.
    """

    weight: Tensor
    gradient: Tensor
    halves: Tensor | None
    saliency: Tensor | Undefined


class _Layer:
    """Collects the gradient of one layer over its calls."""

    def __init__(self, module: Convolution | nn.Linear, batch: int) -> None:
        self.module = module
        self.batch = batch
        self.called = False
        self.parts: list[Tensor] = []
        self.separable = batch > 1
        self.products: Tensor | Undefined | None = None

    def add(self, a: Tensor, y: Tensor, version: int, g: Tensor) -> None:
        """Take input, output (as it was at this version) and output gradient of one call."""
        self.separable &= len(a) % self.batch == 0
        cut = (len(a) + 1) // 2
        parts = [
            weight_gradient(self.module, a[s], g[s]) for s in (slice(cut), slice(cut, None)) if len(a[s])
        ]
        self.parts = [p + q for p, q in zip(self.parts, parts, strict=True)] if self.parts else parts
        if self.products is not None:
            self.products = Undefined("a layer is called twice, its channels have no one output")
        elif y._version != version:
            self.products = Undefined("the network changes a layer's output in place")
        else:
            self.products = _channel_products(self.module, y, g)

    def take(self, gradient: Tensor | None, reason: str) -> None:
        """Take the gradient of a weight; the reason why nothing is known of the layer's output."""
        if gradient is not None:
            self.parts = [gradient]
            self.separable = False
            self.products = Undefined(reason)

    def result(self) -> LayerGradient:
        products = self.products
        assert products is not None
        return LayerGradient(
            self.module.weight.detach(),
            sum(self.parts[1:], self.parts[0]),
            torch.stack(self.parts) if self.separable else None,
            products if isinstance(products, Undefined) else products.square().mean(0),
        )


def _channel_products(module: Convolution | nn.Linear, y: Tensor, g: Tensor) -> Tensor:
    """Return (samples, channels): the sum over positions of output x gradient."""
    product = y * g
    if isinstance(module, nn.Linear):
        return product.flatten(1, -2).sum(1) if product.dim() > 2 else product
    return product.sum(tuple(range(2, product.dim())))


def weight_gradient(module: Convolution | nn.Linear, a: Tensor, g: Tensor) -> Tensor:
    """Return the gradient of a layer's weight from its input and the gradient at its output."""
    if isinstance(module, nn.Linear):
        return g.flatten(0, -2).T @ a.flatten(0, -2)
    transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    padding: Any = module.padding
    if module.padding_mode != "zeros" or isinstance(padding, str):
        # pad explicitly what the layer pads by itself
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        a = functional.pad(a, module._reversed_padding_repeated_twice, mode=mode)
        padding = (0,) * len(module.kernel_size)
    found: Tensor = torch.ops.aten.convolution_backward(
        g,
        a,
        module.weight.detach(),
        None,
        module.stride,
        padding,
        module.dilation,
        transposed,
        module.output_padding,
        module.groups,
        (False, True, False),
    )[1]
    return found


class LayerGradients:
    """Watches a forward pass, and turns the backward pass of a loss into gradients per layer.

    Every layer's gradient is computed as the backward pass comes by, from the layer's input and
    the gradient at its output, in two halves of the batch, at the cost of computing it whole.
    """

    def __init__(self, network: nn.Module, batch: int) -> None:
        self.layers = {name: _Layer(module, batch) for name, module in weighted_layers(network).items()}
        self._handles: list[RemovableHandle] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hook every layer while the forward pass runs."""
        handles = [
            layer.module.register_forward_hook(self._on_forward(layer)) for layer in self.layers.values()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _on_forward(self, layer: _Layer) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
            layer.called = True
            if y.requires_grad:
                a, out, version = inputs[0].detach(), y.detach(), y._version
                self._handles.append(y.register_hook(lambda g: layer.add(a, out, version, g)))

        return hook

    def backward(self, loss: Tensor, x: Tensor) -> list[LayerGradient]:
        """Return the gradients of the layers that the loss depends on; the graph is kept."""
        # a weight may be used without calling its layer, as attention modules of torch do
        others = [layer for layer in self.layers.values() if not layer.called]
        try:
            _, *gradients = torch.autograd.grad(
                loss, [x, *(layer.module.weight for layer in others)], retain_graph=True, allow_unused=True
            )
        finally:
            for handle in self._handles:
                handle.remove()
        for layer, gradient in zip(others, gradients, strict=True):
            layer.take(gradient, "a layer's weight is used without calling the layer")
        # the way back to the images does not pass layers that work on something else
        if apart := [layer for layer in self.layers.values() if layer.called and not layer.parts]:
            found = torch.autograd.grad(
                loss, [layer.module.weight for layer in apart], retain_graph=True, allow_unused=True
            )
            for layer, gradient in zip(apart, found, strict=True):
                layer.take(gradient, "a layer does not see the images")
        return [layer.result() for layer in self.layers.values() if layer.parts]
