"""Activation codes: which inputs of a ReLU are positive, for each sample."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fusion.probes.calls import name_of
from fusion.probes.undefined import Undefined

# Activations that are linear on either side of zero, for which the sign of the input is a code.
# Modules call these functions too, so that one list finds modules and functional calls alike.
RECTIFIERS: frozenset[Callable[..., Tensor]] = frozenset(
    {
        functional.relu,
        functional.relu_,
        functional.relu6,
        functional.leaky_relu,
        functional.leaky_relu_,
        functional.prelu,
        torch.relu,
        torch.relu_,
        torch.prelu,
        Tensor.relu,
        Tensor.relu_,
        Tensor.prelu,
    }
)
CLIPPED = frozenset({functional.hardtanh, functional.hardtanh_})
_CLAMPS = frozenset(
    {
        torch.clamp,
        torch.clamp_,
        torch.clip,
        torch.clip_,
        Tensor.clamp,
        Tensor.clamp_,
        Tensor.clip,
        Tensor.clip_,
    }
)
_FROM_BELOW = frozenset({torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_})
_THRESHOLDS = frozenset(
    {
        functional.threshold,
        functional.threshold_,  # type: ignore[attr-defined]
        torch.threshold,
        torch.threshold_,
    }
)
NO_CODES = "activation codes are defined for rectifiers and smooth activations; none was run"
SIGNS = "codes are the signs of the inputs of all activations, not of rectifiers alone"

# Samples whose bits make a unit's pattern: all 2^16 patterns fit in a table of flags.
PATTERN_SAMPLES = 16


def rectified(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the input of a call of a rectifier; None for a call of anything else."""

    def number(place: int, name: str) -> Any:
        return args[place] if len(args) > place else kwargs.get(name)

    if func not in RECTIFIERS:
        # the module ReLU6 is a hard tanh from 0 to 6
        if func in CLIPPED or func in _CLAMPS or func in _FROM_BELOW:
            lowest = number(1, "min_val" if func in CLIPPED else "min")
            if not _is_zero(-1 if lowest is None else lowest):
                return None
        elif not (func in _THRESHOLDS and _is_zero(number(1, "threshold")) and _is_zero(number(2, "value"))):
            return None
    found: Tensor = args[0] if args else kwargs["input"]
    return found if found.is_floating_point() else None


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0


def upper_end(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return where a call of a rectifier stops growing; None where it does not."""
    if func is functional.relu6:
        return 6
    if func in CLIPPED:
        return args[2] if len(args) > 2 else kwargs.get("max_val", 1)
    if func in _CLAMPS:
        return args[2] if len(args) > 2 else kwargs.get("max")
    return None


def clips(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call is of a rectifier that stops growing."""
    return rectified(func, args, kwargs) is not None and upper_end(func, args, kwargs) is not None


CODED = frozenset(
    {
        *("silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu", "celu", "selu", "mish"),
        *("softplus", "softsign", "logsigmoid", "tanhshrink"),
    }
)
"""Smooth activations, for which the sign of the input may stand as a code."""


def activated(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the input of a call of a rectifier or smooth activation; None for a call of anything else."""
    found = rectified(func, args, kwargs)
    if found is None and name_of(func) in CODED:
        found = args[0] if args else kwargs["input"]
    return found


class watch_codes(TorchFunctionMode):  # noqa: N801 (a context manager, written like a function)
    """Call each `see(mask, number)` for each rectifier that runs in the block.

    `mask` has shape and type of the rectifier's input, 1 where that is positive, else 0; taken
    before the rectifier runs, so one that works in place hides nothing. Where several rectifiers
    have the same tensor as input, it is None, and `number` that of the mask seen before.

    Parameters
    ----------
    *sees : callable
    smooth : bool
        Whether smooth activations are looked at too.
    """

    def __init__(self, *sees: Callable[[Tensor | None, int], object], smooth: bool = False) -> None:
        super().__init__()
        self.found = activated if smooth else rectified
        self.sees = sees
        self.known: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}
        self.count = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Look at the input of rectifiers, then run the function."""
        kwargs = kwargs or {}
        if (a := self.found(func, args, kwargs)) is not None:
            self._look(a)
        return func(*args, **kwargs)

    def _look(self, a: Tensor) -> None:
        found = self.known.get(id(a))
        if found is not None and found[0]() is a and found[1] == a._version:
            self._tell(None, found[2])
            return
        # written as floating point at once: several times as fast as a boolean mask, here and in use
        self._tell(torch.gt(a.detach(), 0, out=torch.empty_like(a)), self.count)
        self.known[id(a)] = (weakref.ref(a), a._version, self.count)
        self.count += 1

    def _tell(self, mask: Tensor | None, number: int) -> None:
        for see in self.sees:
            see(mask, number)


def as_code(mask: Tensor, samples: int | None = None) -> Tensor:
    """Return the mask of a rectifier as (samples, units), units in an order equal for all samples.

    `samples` where the first dimension has several rows of each sample, one after the other.
    """
    if mask.dim() == 4:  # without a copy where channels are last in memory
        mask = mask.permute(0, 2, 3, 1)
    if samples and len(mask) % samples == 0:
        return mask.reshape(samples, -1)
    return mask.reshape(len(mask), -1)


class CodeStatistics:
    """What indicators need of the codes of one forward pass, without storing a code.

    With A = c c^T, the sum c c^T + (1-c)(1-c)^T has the entry (i, j) 2 A_ij + units - A_ii - A_jj,
    so one product per rectifier does. Products are exact in float32: they count at most 2^24
    units of one rectifier.
    """

    def __init__(self, samples: int) -> None:
        self.both_active = torch.zeros(samples, samples, dtype=torch.float64)
        self.units = self.calls = 0
        self.per_sample = True
        self._products: list[tuple[Tensor, int]] = []
        self._seen = np.zeros(2 ** min(samples, PATTERN_SAMPLES), dtype=bool)

    def see(self, mask: Tensor | None, number: int) -> None:
        """Add the mask of one rectifier, or the one of this number again."""
        self.calls += 1
        if mask is not None:
            code = as_code(mask, len(self.both_active))
            self.per_sample &= len(code) == len(self.both_active)
            if not self.per_sample:  # not raised here, in the middle of a pass that others need
                return
            self._products.append(((code @ code.T).to("cpu", torch.float64), code.shape[1]))
            self._seen[_patterns(code)] = True
        if not self.per_sample:
            return
        product, units = self._products[number]
        self.both_active += product
        self.units += units

    def _require_codes(self) -> None:
        if not self.per_sample:
            raise Undefined("the input of a rectifier does not have one row per sample")
        if not self._products:
            raise Undefined(NO_CODES)

    def kernel(self) -> Tensor:
        """Return the kernel (samples, samples), float64: units on which two samples agree."""
        self._require_codes()
        active = self.both_active.diagonal()
        return 2 * self.both_active + self.units - active[:, None] - active[None, :]

    def count_units(self) -> int:
        """Return the number of units per sample."""
        self._require_codes()
        return self.units

    def patterns(self) -> int:
        """Return the number of different patterns of units across the first 16 samples."""
        self._require_codes()
        return int(self._seen.sum())


def _patterns(code: Tensor) -> NDArray[np.int64]:
    """Return for each unit the bits of the first samples as one number."""
    bits = code[:PATTERN_SAMPLES].to(torch.uint8)
    low, high = (
        sum((row << bit for bit, row in enumerate(part)), torch.zeros_like(bits[0])) if len(part) else None
        for part in (bits[:8], bits[8:])
    )
    assert low is not None
    numbers = low.cpu().numpy().astype(np.int64)
    return numbers if high is None else numbers + (high.cpu().numpy().astype(np.int64) << 8)
