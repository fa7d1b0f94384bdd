"""What is looked at to find out what can be taken for granted of a network."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from fusion.probes.calls import NORMS, PRODUCTS, Call, Watcher, tensors_in
from fusion.probes.codes import activated, rectified
from fusion.probes.survey.axes import Axes, has_positions
from fusion.probes.survey.elementwise import SMOOTH, Forms

# By how much what two images have in common may differ, of the largest entry.
TOLERANCE = 1e-4
# Images that are looked at together.
_PAIR = 2
_JOINED_OTHERWISE = frozenset({"stack", "sub", "lerp", "addcmul", "addcdiv", "hstack", "vstack", "dstack"})
# Functions that make several products with weights.
_OF_PRODUCTS = {
    "multi_head_attention_forward": 4.0,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), math.inf),
}


def _is_layer(call: Call) -> bool:
    return call.name in PRODUCTS | NORMS | SMOOTH or rectified(call.func, call.args, call.kwargs) is not None


class ConstantNorms(Watcher):
    """Lets batch normalisation use its running statistics, so that no sample depends on another.

    What normalises weights with the same function, as some standardised convolutions do, is left alone.
    """

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.flags: list[bool] = []

    def instead(self, call: Call) -> Call:
        """Return the call with constant statistics."""
        if call.func is not functional.batch_norm:
            return call
        of_images = self.forms.depends(call.input)
        self.flags.append(of_images and bool(call.argument(5, "training", False)))
        if not of_images:
            return call
        x, mean, variance = call.input, call.argument(1, "running_mean"), call.argument(2, "running_var")
        mean = x.new_zeros(x.shape[1]) if mean is None else mean
        variance = x.new_ones(x.shape[1]) if variance is None else variance
        return norm_call(call, mean, variance)


def norm_call(call: Call, mean: Tensor, variance: Tensor) -> Call:
    """Return a batch normalisation with constant statistics."""
    weight, bias, eps = call.argument(3, "weight"), call.argument(4, "bias"), call.argument(7, "eps", 1e-5)
    return replace(call, args=(call.input, mean, variance, weight, bias, False, 0.1, eps), kwargs={})


class Samples(Watcher):
    """Finds where the second of two images changes what a call works on and gives."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[str, Tensor | None, Tensor | None]] = {}
        self.activated: list[tuple[bool, Tensor]] = []
        self._input: Tensor | None = None

    def before(self, call: Call) -> None:
        """Keep the input, which may be overwritten."""
        a = activated(call.func, call.args, call.kwargs)
        if a is not None:
            is_rectifier = rectified(call.func, call.args, call.kwargs) is not None
            self.activated.append((is_rectifier, a.detach().clone()))
        wanted = a is not None or call.name in PRODUCTS
        self._input = call.input.detach().clone() if wanted and isinstance(call.input, Tensor) else None

    def after(self, call: Call, out: Any) -> Any:
        """Keep the result where it may be looked at."""
        given = None
        if call.number >= 0 and (has_positions(out) or call.name in PRODUCTS):
            given = out.detach().clone()
        if self._input is not None or given is not None:
            self.seen[call.number] = call.name, self._input, given
        return out

    def compare(self, other: Samples) -> dict[int, bool]:
        """Return call -> whether samples come first, from what was seen of [a, b] and of [a, c]."""
        return {
            number: all(
                samples_first(p, q)
                for p, q in zip(ours[1:], other.seen[number][1:], strict=True)
                if p is not None
            )
            for number, ours in self.seen.items()
        }


def samples_first(p: Tensor | None, q: Tensor | None) -> bool:
    """Whether of two tensors, of [a, b] and of [a, c], the first halves are equal and the second are not."""
    if p is None or q is None or p.shape != q.shape or not p.dim() or len(p) % 2:
        return False
    scale = float(p.abs().max())
    differ = ((p - q).abs() > TOLERANCE * scale).flatten(1) if p.dim() > 1 else (p != q)[:, None]
    rows = differ.any(1)
    half = len(rows) // 2
    return not bool(rows[:half].any()) and (bool(rows[half:].any()) or len(rows) == 2)


class Joins(Watcher):
    """Finds the calls that join feature maps, the convolutions, and all layers that give maps.

    Attributes
    ----------
    axes : dict of int to int
        Call -> dimension of its channels, of those that give maps.
    unplaced : bool
        Whether a layer gives what may be maps, of which it is not known where the channels are.
    products : float
        How many products with weights at several positions calls account for.
    otherwise : str
        A function that maps are joined with in an unusual way; empty without any.
    """

    def __init__(self, forms: Forms, axes: Axes) -> None:
        self.forms, self.channels = forms, axes
        self.convolutions: list[int] = []
        self.joins: list[int] = []
        self.tokens: list[int] = []
        self.maps: list[int] = []
        self.axes: dict[int, int] = {}
        self.unplaced = False
        self.products = 0.0
        self.otherwise = ""
        self._joins = False

    def before(self, call: Call) -> None:
        """See whether it joins maps, before one is overwritten."""
        parts = [t for t in tensors_in(call.args, call.kwargs) if self.forms.depends(t) and has_positions(t)]
        self._joins = (
            len(parts) > 1
            and call.name in ("add", "cat", *_JOINED_OTHERWISE)
            and not all(self.forms.same_root(parts[0], part) for part in parts[1:])
            and (call.name == "cat" or parts[0].shape == parts[1].shape)
        )
        if self._joins and call.name in _JOINED_OTHERWISE:
            self.otherwise, self._joins = self.otherwise or call.name, False

    def after(self, call: Call, out: Any) -> Any:
        """Note the call."""
        if call.name in PRODUCTS and self.forms.depends(out):
            self.products += out.numel() > _PAIR * out.shape[-1 if call.name == "linear" else 1]
        elif call.name in _OF_PRODUCTS:
            self.products += _OF_PRODUCTS[call.name]
        if call.number < 0 or not has_positions(out) or not (self._joins or _is_layer(call)):
            return out
        if not self.forms.depends(out):
            return out
        axis = self.channels.of(out)
        if axis is None:
            self.unplaced = True
            return out
        self.axes[call.number] = axis
        if _is_layer(call):
            self.maps.append(call.number)
        if self._joins:
            (self.joins if axis == 1 else self.tokens).append(call.number)
        elif call.name in PRODUCTS and call.name != "linear":
            self.convolutions.append(call.number)
        return out

    def calls(self) -> frozenset[int]:
        """Return the stem, the joins and what follows the last; without joins, all convolutions.

        Where more tokens are joined than maps, as in transformers, these joins.
        """
        if len(self.tokens) > len(self.joins):
            return frozenset(self.tokens)
        if not self.joins or not self.convolutions:
            return frozenset(self.convolutions)
        after = [number for number in self.convolutions if number > self.joins[-1]]
        return frozenset([self.convolutions[0], *self.joins, *after[-1:]])
