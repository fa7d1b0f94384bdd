"""Layers with weights, seen one by one: their inputs, outputs, and gradients during a backward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from fusion.probes.calls import PRODUCTS, Call, Calls, Watcher, tensors_in
from fusion.probes.undefined import Undefined

# Numbers whose squares are summed in float32.
_MANY = 2**22

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def euclidean(tensor: Tensor) -> float:
    """Return the Euclidean norm; of many numbers by a sum in float64, for one in float32 loses digits."""
    wide = torch.float64 if tensor.numel() > _MANY else tensor.dtype
    return float(torch.linalg.vector_norm(tensor, dtype=wide).double())


@dataclass
class LayerGradient:
    """Gradient of the loss at one layer.

    Attributes
    ----------
    weight, gradient : Tensor
        Both of the weight's shape; of a weight that several layers share, once.
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


@dataclass(frozen=True)
class _Product:
    """A convolution or a linear map, as it was called."""

    weight: Tensor
    linear: bool
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] | str = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @classmethod
    def of(cls, call: Call) -> _Product:
        """Return what is called."""
        weight = call.argument(1, "weight")
        if call.name == "linear":
            return cls(weight, linear=True)
        count = weight.dim() - 2

        def each(place: int, name: str, default: int) -> tuple[int, ...]:
            value = call.argument(place, name, default)
            return (int(value),) * count if isinstance(value, int) else tuple(int(v) for v in value)

        transposed = "transpose" in call.name
        padding = call.argument(4, "padding", 0)
        return cls(
            weight,
            linear=False,
            stride=each(3, "stride", 1),
            padding=padding if isinstance(padding, str) else each(4, "padding", 0),
            dilation=each(7 if transposed else 5, "dilation", 1),
            groups=int(call.argument(6, "groups", 1)),
            transposed=transposed,
            output_padding=each(5, "output_padding", 0) if transposed else (0,) * count,
        )

    def weight_gradient(self, a: Tensor, g: Tensor) -> Tensor:
        """Return the gradient of the weight from the input and the gradient at the output."""
        if self.linear:
            return g.flatten(0, -2).T @ a.flatten(0, -2)
        padding = self.padding
        if isinstance(padding, str):  # pad explicitly what the convolution pads by itself
            sizes = [
                step * (size - 1) if padding == "same" else 0
                for step, size in zip(self.dilation, self.weight.shape[2:], strict=True)
            ]
            a = functional.pad(a, [n for size in reversed(sizes) for n in (size // 2, size - size // 2)])
            padding = (0,) * len(sizes)
        found: Tensor = torch.ops.aten.convolution_backward(
            g,
            a,
            self.weight.detach(),
            None,
            self.stride,
            padding,
            self.dilation,
            self.transposed,
            self.output_padding,
            self.groups,
            (False, True, False),
        )[1]
        return found

    def channel_products(self, y: Tensor, g: Tensor, batch: int) -> Tensor:
        """Return (samples, channels): the sum over positions of output x gradient."""
        product = y * g
        if self.linear:
            product = product.flatten(1, -2).sum(1) if product.dim() > 2 else product
        else:
            product = product.sum(tuple(range(2, product.dim())))
        return product if len(product) == batch else product.unflatten(0, (batch, -1)).sum(1)


class _Layer:
    """Collects the gradient of one weight over its uses."""

    def __init__(self, weight: nn.Parameter, batch: int) -> None:
        self.weight = weight
        self.batch = batch
        self.uses = 0
        self.calls = 0
        self.parts: list[Tensor] = []
        self.separable = batch > 1
        self.told = True
        self.products: Tensor | Undefined | None = None

    @property
    def is_called(self) -> bool:
        """Whether the weight is used by convolutions and linear layers alone."""
        return 0 < self.calls == self.uses

    def add(self, product: _Product, a: Tensor, kept: _Output, g: Tensor, samples_first: bool) -> None:
        """Take input, output and output gradient of one call."""
        if not self.is_called:
            return
        samples_first &= self.told and len(a) % self.batch == 0
        self.separable &= samples_first
        cut = (len(a) + 1) // 2
        parts = [product.weight_gradient(a[s], g[s]) for s in (slice(cut), slice(cut, None)) if len(a[s])]
        self.parts = [p + q for p, q in zip(self.parts, parts, strict=True)] if self.parts else parts
        if self.products is not None:
            self.products = Undefined("a layer is called twice, its channels have no one output")
        elif not samples_first:
            self.products = Undefined("the samples cannot be told apart in a layer's output")
        elif kept.is_lost:
            self.products = Undefined("the network changes a layer's output in place")
        else:
            self.products = product.channel_products(kept.value, g, self.batch)

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
            self.weight.detach(),
            sum(self.parts[1:], self.parts[0]),
            torch.stack(self.parts) if self.separable else None,
            products if isinstance(products, Undefined) else products.square().mean(0),
        )


class _Output:
    """The output of a call as it was, though the network may write over it."""

    def __init__(self, y: Tensor) -> None:
        self.of = weakref.ref(y)
        self.value = y.detach()
        self.version = y._version

    def save(self) -> None:
        """Copy it before it is written over."""
        if not self.is_lost:
            self.value = self.value.clone()
            self.version = self.value._version

    @property
    def is_lost(self) -> bool:
        return self.value._version != self.version


class LayerGradients(Watcher):
    """Watches a forward pass, and turns the backward pass of a loss into gradients per weight.

    Of convolutions and linear maps, whoever calls them, the gradient is computed as the backward pass comes
    by, from the input and the gradient at the output, in two halves of the batch, at the cost of computing
    it whole. Of a weight that is used otherwise, as attention's are, autograd gives it.

    Parameters
    ----------
    weights : mapping of str to Parameter
        Whose gradients are wanted, by name.
    batch : int
    samples_first : callable, optional
        Number of a call -> whether the first dimension of its input has the samples one after the other.
        Without it they are taken to, and weights to be used by calls of layers alone.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        batch: int,
        samples_first: Callable[[int], bool] | None = None,
    ) -> None:
        self.names = PRODUCTS if samples_first is None else None
        self.layers = {name: _Layer(weight, batch) for name, weight in weights.items()}
        self.samples_first = samples_first or (lambda number: True)
        self._known = {id(layer.weight): layer for layer in self.layers.values()}
        self._outputs: dict[int, _Output] = {}
        self._handles: list[RemovableHandle] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the forward pass runs."""
        with Calls(self) as calls:
            yield
        if error := calls.failures.get(self):
            raise error

    def forget_samples(self) -> None:
        """Take nothing for granted of where the samples are."""
        for layer in self.layers.values():
            layer.told = False

    def before(self, call: Call) -> None:
        """Keep what is about to be written over."""
        output = self._outputs.get(id(call.input)) if call.in_place else None
        if output is not None and output.of() is call.input:
            output.save()

    def after(self, call: Call, out: Any) -> Any:
        """Count uses of weights, and wait for the gradients at the outputs of layers."""
        if isinstance(out, Tensor | tuple | list):
            for used in tensors_in(call.args, call.kwargs):
                if (layer := self._known.get(id(used))) is not None:
                    layer.uses += 1
        if call.name in PRODUCTS and isinstance(out, Tensor) and out.requires_grad:
            layer = self._known.get(id(call.argument(1, "weight")))
            a = call.input
            if layer is not None and (call.name == "linear" or a.dim() == layer.weight.dim()):
                layer.calls += 1
                product, first = _Product.of(call), self.samples_first(call.number)
                kept, a = _Output(out), a.detach()
                self._outputs[id(out)] = kept
                self._handles.append(out.register_hook(_adder(layer, product, a, kept, first)))
        return out

    def backward(self, loss: Tensor, x: Tensor) -> list[LayerGradient]:
        """Return the gradients of the weights that the loss depends on; the graph is kept."""
        others = [layer for layer in self.layers.values() if not layer.is_called]
        try:
            _, *gradients = torch.autograd.grad(
                loss, [x, *(layer.weight for layer in others)], retain_graph=True, allow_unused=True
            )
        finally:
            for handle in self._handles:
                handle.remove()
            self._outputs.clear()
        for layer, gradient in zip(others, gradients, strict=True):
            layer.take(gradient, "a layer's weight is used otherwise than by calling the layer")
        # the way back to the images does not pass layers that work on something else
        if apart := [layer for layer in self.layers.values() if layer.is_called and not layer.parts]:
            found = torch.autograd.grad(
                loss, [layer.weight for layer in apart], retain_graph=True, allow_unused=True
            )
            for layer, gradient in zip(apart, found, strict=True):
                layer.take(gradient, "a layer does not see the images")
        return [layer.result() for layer in self.layers.values() if layer.parts]


def _adder(
    layer: _Layer, product: _Product, a: Tensor, kept: _Output, samples_first: bool
) -> Callable[[Tensor], None]:
    return lambda g: layer.add(product, a, kept, g, samples_first)
