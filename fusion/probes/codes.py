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

from fusion.probes.base import Undefined

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
NO_CODES = "activation codes are defined for ReLU, ReLU6, LeakyReLU, PReLU; none was run"

# Samples whose bits make a unit's pattern: all 2^16 patterns fit in a table of flags.
PATTERN_SAMPLES = 16


def rectified(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the input of a call of a rectifier; None for a call of anything else."""
    # the module ReLU6 is a hard tanh from 0 to 6
    clipped_at_zero = func in CLIPPED and (args[1] if len(args) > 1 else kwargs.get("min_val", -1)) == 0
    if func not in RECTIFIERS and not clipped_at_zero:
        return None
    found: Tensor = args[0] if args else kwargs["input"]
    return found


class watch_codes(TorchFunctionMode):  # noqa: N801 (a context manager, written like a function)
    """Call each `see(mask, number)` for each rectifier that runs in the block.

    `mask` has shape and type of the rectifier's input, 1 where that is positive, else 0; taken
    before the rectifier runs, so one that works in place hides nothing. Where several rectifiers
    have the same tensor as input, it is None, and `number` that of the mask seen before.
    """

    def __init__(self, *sees: Callable[[Tensor | None, int], object]) -> None:
        super().__init__()
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
        if (a := rectified(func, args, kwargs)) is not None:
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


def as_code(mask: Tensor) -> Tensor:
    """Return the mask of a rectifier as (samples, units), units in an order equal for all samples."""
    if mask.dim() == 4:  # without a copy where channels are last in memory
        mask = mask.permute(0, 2, 3, 1)
    return mask.reshape(len(mask), -1)


class CodeStatistics:
    """What indicators need of the codes of one forward pass, without storing a code.

    With A = c c^T, the sum c c^T + (1-c)(1-c)^T has the entry (i, j) 2 A_ij + units - A_ii - A_jj,
    so one product per rectifier does. Products are exact in float32: they count at most 2^24
    units of one rectifier.
    """

    def __init__(self, samples: int) -> None:
        self.both_active = torch.zeros(samples, samples, dtype=torch.float64)
        self.units = 0
        self.per_sample = True
        self._products: list[tuple[Tensor, int]] = []
        self._seen = np.zeros(2 ** min(samples, PATTERN_SAMPLES), dtype=bool)

    def see(self, mask: Tensor | None, number: int) -> None:
        """Add the mask of one rectifier, or the one of this number again."""
        if mask is not None:
            code = as_code(mask)
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
