"""What a network is made of, counted in one pass on the device "meta", which computes nothing."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Part of an operation's name -> what is counted under it; the first that fits.
_COUNTED = {
    "batch_norm": "batch_norm",
    "layer_norm": "layer_norm",
    "rms_norm": "layer_norm",
    "group_norm": "layer_norm",
    "hardsigmoid": "gate",
    "sigmoid": "gate",
    "hardswish": "silu",
    "silu": "silu",
    "gelu": "gelu",
    "hardtanh": "relu",
    "relu": "relu",
    "softmax": "softmax",
    "max_pool": "max_pool",
}
_EXACTLY = {"add": "sum", "mul": "product", "cat": "concatenation"}
_KINDS = ("dense", "pointwise", "depthwise", "grouped", "linear", "attention")
_RATES = (*dict.fromkeys(_COUNTED.values()), *_EXACTLY.values())


def composition(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, float]:
    """Return what a network is made of, as features of an architecture.

    Operations are counted as torch runs them, whoever calls them: a functional call counts like a module.

    Parameters
    ----------
    build : callable
        Returns the network; called on the device "meta", or on the CPU where it cannot be built there.
    shape : tuple of int
        Of one image, (channels, height, width).

    Returns
    -------
    dict of str to float
        `log.parameters`; of one image `log.multiply_adds` and `log.activations`, elements that convolutions
        and matrix products give; `log.layers`, how many convolutions and linear maps; `log.width`, the most
        channels or features that one of them reads (natural logarithms); `kernel`, the widest of a
        convolution. `share.KIND`: the part of multiply-adds in dense, pointwise (1 x 1), depthwise and other
        grouped convolutions, in linear maps, and in products of activations (attention). `rate.KIND`: how
        many there are for each layer: batch_norm, layer_norm (group and RMS normalisation too), relu, gelu,
        silu, gate (sigmoids), softmax, max_pool, sum, product and concatenation.

    Raises
    ------
    Exception
        What building or running the network raises.
    ValueError
        When it has no convolution and no linear map.
    """
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                network = build()
        except Exception:  # it looks at its weights
            network = build().to("meta")
        # gradients stay on: without them attention of torch is one operation that tells nothing
        with _Ledger() as ledger:
            network.eval()(torch.empty(1, *shape, device="meta"))
    layers = sum(ledger.layers.values())
    if not layers:
        raise ValueError("no convolution and no linear map")
    logs = {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "multiply_adds": sum(ledger.products.values()),
        "activations": ledger.activations,
        "layers": layers,
        "width": ledger.width,
    }
    return {
        **{f"log.{name}": math.log(max(value, 1)) for name, value in logs.items()},
        "kernel": float(ledger.kernel),
        **{f"share.{kind}": ledger.products[kind] / max(logs["multiply_adds"], 1) for kind in _KINDS},
        **{f"rate.{kind}": ledger.others[kind] / layers for kind in _RATES},
    }


class _Ledger(TorchDispatchMode):
    """Counts operations by kind.

    Attributes
    ----------
    layers, products, others : Counter
        Kind -> convolutions and linear maps; multiply-adds; other operations.
    activations, width, kernel : int
        See `composition`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: Counter[str] = Counter()
        self.products: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.activations = self.width = self.kernel = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operation = func.overloadpacket
        name = operation.__name__
        if operation in flop_registry:
            given = out[0] if isinstance(out, tuple) else out
            self.activations += given.numel()
            kind = self._layer(name, args)
            self.products[kind] += flop_registry[operation](*args, **kwargs, out_val=out) // 2
        elif exact := _EXACTLY.get(name.rstrip("_")):
            self.others[exact] += 1
        elif kind := next((kind for part, kind in _COUNTED.items() if part in name), ""):
            self.others[kind] += 1
        return out

    def _layer(self, name: str, args: tuple[Any, ...]) -> str:
        """Count one operation with weights, and return its kind."""
        tensors = [value for value in args if isinstance(value, Tensor)]
        if "convolution" in name:
            weight, groups = tensors[1], int(args[8])
            size = max(weight.shape[2:])
            read, self.kernel = int(tensors[0].shape[1]), max(self.kernel, size)
            kind = "pointwise" if size == 1 else "dense"
            if groups > 1:
                kind = "depthwise" if groups == read else "grouped"
        elif name in ("addmm", "mm"):
            kind, read = "linear", int(tensors[-2].shape[-1])
        else:
            return "attention"
        self.layers[kind] += 1
        self.width = max(self.width, read)
        return kind
