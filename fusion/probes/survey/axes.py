"""Which dimension of feature maps the channels are in: told by the layers that they went through."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor

from fusion.probes.calls import NORMS, POOLS, PRODUCTS, Call, Watcher, tensors_in

_SAME_SHAPE = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "hardtanh", "clamp", "clamp_min", "threshold", "pow"),
        *("silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu", "celu", "selu", "mish"),
        *("softplus", "softsign", "logsigmoid", "tanhshrink", "rrelu", "dropout", "feature_dropout"),
        *("add", "sub", "mul", "div", "neg", "cat", "clone", "contiguous", "roll", "where", "maximum", "abs"),
    }
)


def as_maps(features: Tensor, axis: int) -> Tensor:
    """Return features as (samples, channels, height, width), where the channels are in dimension `axis`.

    Tokens (samples, tokens, channels), and signals, are maps of width 1.
    """
    if axis == -1:
        features = features.movedim(-1, 1)
    return features if features.dim() == 4 else features.unsqueeze(-1)


def has_positions(features: Any) -> bool:
    """Whether a value may be feature maps, or tokens, of several positions."""
    if not isinstance(features, Tensor) or not features.is_floating_point():
        return False
    if features.dim() == 4:
        return features.shape[2] * features.shape[3] > 1
    return features.dim() == 3 and min(features.shape[1:]) > 1


class Axes(Watcher):
    """Follows where the channels are: 1 after convolutions, -1 after linear layers, else unknown."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[weakref.ref[Tensor], int]] = {}

    def of(self, tensor: Any) -> int | None:
        """Return 1 or -1; of maps with four dimensions 1 where nothing else is known, else None."""
        found = self.known.get(id(tensor))
        if found is not None and found[0]() is tensor:
            return found[1]
        return 1 if isinstance(tensor, Tensor) and tensor.dim() == 4 else None

    def _told(self, tensor: Tensor) -> int | None:
        found = self.known.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def after(self, call: Call, out: Any) -> Any:
        """Note where the channels of a result are."""
        results = list(tensors_in(out))
        if results and (axis := self._axis(call, results[0])) is not None:
            self.known[id(results[0])] = weakref.ref(results[0]), axis
        return out

    def _axis(self, call: Call, result: Tensor) -> int | None:
        if call.name in ("linear", "multi_head_attention_forward"):
            return -1
        if call.name in PRODUCTS or call.name in POOLS:
            return 1
        if call.name in ("layer_norm", "rms_norm"):
            shape = call.argument(1, "normalized_shape", ())
            if not isinstance(shape, int) and len(shape) == 1:
                return -1
        elif call.name in NORMS:
            return 1
        elif call.name in ("transpose", "swapaxes", "permute"):
            return self._moved(call)
        elif call.name not in _SAME_SHAPE:
            return None
        like = [t for t in tensors_in(call.args, call.kwargs) if t.dim() == result.dim() and t.numel() > 1]
        told = {axis for axis in map(self._told, like) if axis is not None}
        return told.pop() if len(told) == 1 else None

    def _moved(self, call: Call) -> int | None:
        """Return where the channels are after dimensions changed places."""
        axis, count = self._told(call.input), call.input.dim()
        order = [*range(count)]
        if call.name == "permute":
            dims = call.args[1:] or call.kwargs.get("dims", ())
            order = [
                int(d) % count for d in (dims[0] if dims and isinstance(dims[0], list | tuple) else dims)
            ]
        else:
            a, b = (int(call.argument(place, f"dim{place - 1}", 0)) % count for place in (1, 2))
            order[a], order[b] = b, a
        if axis is None or axis % count not in order:
            return None
        place = order.index(axis % count)
        return {1: 1, count - 1: -1}.get(place)
