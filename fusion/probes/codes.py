"""Activation codes: which inputs of a ReLU are positive, for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fusion.probes.base import Undefined

# Activations that are linear on either side of zero, for which the sign of the input is a code.
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU)


@contextmanager
def watch_codes(network: nn.Module, see: Callable[[Tensor], None]) -> Iterator[None]:
    """Call `see` with the code (samples, units), boolean, of each rectifier as it is passed.

    The code is taken before the rectifier runs, so one that works in place hides nothing.

    Raises
    ------
    Undefined
        When the network has no rectifier module.
    """

    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        see(inputs[0].detach().gt(0).flatten(1))

    handles = [m.register_forward_pre_hook(hook) for m in network.modules() if isinstance(m, RECTIFIERS)]
    if not handles:
        names = ", ".join(cls.__name__ for cls in RECTIFIERS)
        raise Undefined(f"activation codes are defined for {names}; the network has none")
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class AgreementKernel:
    """Sums c c^T + (1-c)(1-c)^T over rectifiers without storing a code.

    With A = c c^T the entry (i, j) is 2 A_ij + units - A_ii - A_jj, so one product per rectifier
    does. Products are exact in float32: they count at most 2^24 units of one rectifier.
    """

    def __init__(self, samples: int) -> None:
        self.both_active = torch.zeros(samples, samples, dtype=torch.float64)
        self.units = 0

    def see(self, code: Tensor) -> None:
        """Add one rectifier's code (samples, units)."""
        c = code.to(torch.float32)
        self.both_active += (c @ c.T).to("cpu", torch.float64)
        self.units += code.shape[1]

    def kernel(self) -> Tensor:
        """Return the kernel (samples, samples), float64: units on which two samples agree."""
        active = self.both_active.diagonal()
        return 2 * self.both_active + self.units - active[:, None] - active[None, :]
