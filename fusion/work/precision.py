"""Full precision on a GPU: a value must not depend on which device computed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _switches() -> list[tuple[Any, str, Any]]:
    """Return (where, attribute, value without TF32) for this version of torch."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):  # torch 2.9; from there on allow_tf32 may warn
        return [(part, "fp32_precision", "ieee") for part in (matmul, cudnn.conv, cudnn.rnn)]
    return [(part, "allow_tf32", False) for part in (matmul, cudnn)]


@contextmanager
def full_precision() -> Iterator[None]:
    """Run the block with TF32 switched off, for products and cuDNN; settings are then as before.

    TF32 keeps 10 bits of a float32's mantissa, and cuDNN uses it for convolutions unless told
    otherwise. Nothing changes on a CPU. From torch 2.9 on, torch itself refuses to read
    `allow_tf32` inside the block (so `torch.backends.cudnn.flags` cannot be used there).
    """
    switches = [(where, name, getattr(where, name), off) for where, name, off in _switches()]
    try:
        for where, name, _, off in switches:
            setattr(where, name, off)
        yield
    finally:
        for where, name, before, _ in switches:
            setattr(where, name, before)
