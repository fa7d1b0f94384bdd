"""Products, with weights and without, counted where torch makes them, whoever asked for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.probes.calls import tensors_in
from fusion.probes.undefined import Undefined

# Operations with an image's values and weights that sum nothing over weights, but for pointwise ones.
_NO_PRODUCTS = frozenset(
    {
        *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        *("_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "batch_norm"),
        *("native_layer_norm", "native_group_norm", "_fused_rms_norm", "instance_norm"),
        *("cat", "stack", "where", "copy_", "_copy_from", "index", "index_put", "index_put_", "embedding"),
        *("_prelu_kernel", "lift_fresh", "expand", "view_as", "as_strided", "set_", "scatter", "gather"),
        *("expand_as", "broadcast_tensors", "masked_fill", "masked_fill_", "index_add", "scatter_add"),
        *("index_copy", "index_copy_", "slice_scatter", "select_scatter"),
    }
)
# Operations whose result has the shape of what depends on an image, and nothing else of it.
_NEW = frozenset(
    f"{way}{kind}{end}"
    for kind in ("zeros", "ones", "full", "empty", "empty_strided", "rand", "randn")
    for way, end in (("new_", ""), ("", "_like"))
)
# Product -> where its two factors stand.
_FACTORS = {
    "convolution": (0, 1),
    "_convolution": (0, 1),
    "mm": (0, 1),
    "bmm": (0, 1),
    "mv": (0, 1),
    "dot": (0, 1),
    "addmm": (1, 2),
    "addmv": (1, 2),
    "baddbmm": (1, 2),
    "addbmm": (1, 2),
    "linear": (0, 1),
}
# Attention in one piece: the scores, queries by keys, are never stored, but they are outputs of a product.
_ATTENTION = "_scaled_dot_product_"
_RECURRENT = ("mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "lstm", "gru", "rnn_tanh", "rnn_relu")


@dataclass
class _Value:
    """What is known of a piece of memory.

    Attributes
    ----------
    of_image : bool
        Whether it depends on the images.
    depth : int
        Products with weights on the longest way from the image.
    weights : frozenset of int
        Parameters that went into it, by number.
    """

    of_image: bool = False
    depth: int = 0
    weights: frozenset[int] = frozenset()


class _Fused(Exception):
    """A recurrent layer is computed in one piece, which hides its products."""


@dataclass(frozen=True)
class Products:
    """What a network does with its weights.

    Attributes
    ----------
    multiply_accumulates : int or Undefined
        Of all products of something that depends on the image with something that does not.
    outputs : int or Undefined
        Elements that convolutions and matrix products of something that depends on the image give, those of
        attention included.
    depth : int or Undefined
        Such products on the longest way from image to output.
    factors : list of (list of str, bool)
        The parameters and buffers that go into each factor, by name, and whether one of them is the factor
        itself (or part of it, or in another shape), and not something that is computed from it.
    at_positions : int
        Products with weights at several positions of an image.
    used : frozenset of str
        Parameters and buffers that the output depends on.
    """

    multiply_accumulates: int | Undefined
    outputs: int | Undefined
    depth: int | Undefined
    factors: list[tuple[list[str], bool]]
    at_positions: int
    used: frozenset[str]


class _Ledger(TorchDispatchMode):
    """Follows what depends on an image through all operations."""

    def __init__(self, parameters: Sequence[Tensor], image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[Tensor] = []  # so that no memory is used twice
        self.values: dict[int, _Value] = {}
        self.total = self.outputs = self.at_positions = 0
        self.unknown = ""
        self.factors: list[tuple[frozenset[int], bool]] = []
        self.places = [parameter.untyped_storage()._cdata for parameter in parameters]
        for number, parameter in enumerate(parameters):
            self._know(parameter).weights |= {number}
        self._know(image).of_image = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the compiler is imported, which takes a second

    def _know(self, tensor: Tensor) -> _Value:
        key = tensor.untyped_storage()._cdata
        if key not in self.values:
            self.kept.append(tensor)
            self.values[key] = _Value()
        return self.values[key]

    def value(self, tensor: Tensor) -> _Value:
        """Return what is known of a tensor."""
        return self.values.get(tensor.untyped_storage()._cdata, _Value())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and note what its results depend on."""
        kwargs = kwargs or {}
        name = func._schema.name.rpartition("::")[2]
        if name in _RECURRENT:
            raise _Fused
        operands = [self.value(tensor) for tensor in tensors_in(args, kwargs)]
        out = func(*args, **kwargs)
        of_image = any(operand.of_image for operand in operands) and name not in _NEW
        depth = max((operand.depth for operand in operands), default=0)
        weights = frozenset().union(*(operand.weights for operand in operands))
        if of_image and name in _FACTORS:
            self.outputs += out.numel()
        elif of_image and name.startswith(_ATTENTION):
            queries, keys = args[:2]
            self.outputs += queries[..., 0].numel() * keys.shape[-2] + out[0].numel()
        if of_image and not all(operand.of_image for operand in operands):
            if name in _FACTORS:
                depth = max(depth, self._product(name, args, out))
            elif self._may_hide(func, name) and any(o.weights for o in operands if not o.of_image):
                self.unknown = self.unknown or f"{func._schema.name}"
        for tensor in tensors_in(out):
            value = self._know(tensor)
            value.of_image |= of_image
            value.depth = max(value.depth, depth)
            value.weights |= weights
        return out

    @staticmethod
    def _may_hide(func: Any, name: str) -> bool:
        return name not in _NO_PRODUCTS and torch.Tag.pointwise not in func.tags

    def _product(self, name: str, args: tuple[Any, ...], out: Tensor) -> int:
        """Count a product, and return how deep its result is."""
        a, b = (args[place] for place in _FACTORS[name])
        first, second = self.value(a), self.value(b)
        if first.of_image == second.of_image:  # attention's, or the summand alone depends on the image
            return 0
        data, factor = (a, b) if first.of_image else (b, a)
        if name in ("convolution", "_convolution"):
            transposed = args[6]
            # each output, or each input where transposed, meets one row of weights
            self.total += (a if transposed else out).numel() * math.prod(b.shape[1:])
            self.at_positions += math.prod(out.shape[2:]) > 1
        else:
            self.total += out.numel() * a.shape[-1]
            self.at_positions += data.numel() > a.shape[-1]
        value = self.value(factor)
        direct = factor.untyped_storage()._cdata in {self.places[number] for number in value.weights}
        self.factors.append((value.weights, direct))
        return self.value(data).depth + 1


def products(network: nn.Module, image: Tensor, forward: Callable[[Tensor], Any]) -> Products:
    """Follow one image (1, ...) through a network.

    Parameters
    ----------
    network : Module
        In the mode in which it is to be looked at.
    image : Tensor
    forward : callable
        Image -> logits.
    """
    named = {
        name: tensor
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
        if tensor.is_floating_point()
    }
    names, parameters = [*named], [*named.values()]
    try:
        ledger, out = _follow(parameters, image, forward)
    except _Fused:
        with _step_by_step():
            ledger, out = _follow(parameters, image, forward)
    value = ledger.value(out)
    unknown = Undefined(f"the products of {ledger.unknown} are not known") if ledger.unknown else None
    return Products(
        unknown or ledger.total,
        unknown or ledger.outputs,
        unknown or (value.depth if value.of_image else Undefined("the output does not depend on the image")),
        [([names[number] for number in sorted(weights)], direct) for weights, direct in ledger.factors],
        ledger.at_positions,
        frozenset(names[number] for number in value.weights),
    )


@contextmanager
def _step_by_step() -> Iterator[None]:
    """Let recurrent layers be computed as single products."""
    fused = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    try:
        torch._C._set_mkldnn_enabled(False)
        torch._C._set_cudnn_enabled(False)
        yield
    finally:
        torch._C._set_mkldnn_enabled(fused[0])
        torch._C._set_cudnn_enabled(fused[1])


def _follow(
    parameters: Sequence[Tensor], image: Tensor, forward: Callable[[Tensor], Any]
) -> tuple[_Ledger, Tensor]:
    image = image.clone()
    ledger = _Ledger([p.detach() for p in parameters], image)
    with ledger:
        out: Tensor = forward(image)
    return ledger, out
