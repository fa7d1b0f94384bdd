"""What running the network costs, to be weighed against its accuracy; models learn from none of it."""

from __future__ import annotations

from fusion.indicators.base import indicator

_SOURCE = (
    "cost beside accuracy in hardware-aware search: Cai et al., ProxylessNAS, ICLR 2019, arXiv:1812.00332"
)


@indicator(
    formula="1000 * median over runs of the seconds of one image's forward pass",
    source=_SOURCE,
    higher_is_better=True,
    assumes="evaluation mode, the device at hand and what else runs on it",
)
def latency(seconds_of_run: float) -> float:
    """Milliseconds that one image takes."""
    return 1000 * seconds_of_run


@indicator(
    formula="max over a forward pass of the bytes in parameters, buffers and tensors alive, / 2^20",
    source=_SOURCE,
    higher_is_better=True,
    assumes="evaluation mode, one image; without what an operation takes and frees while it runs",
)
def peak_memory(bytes_of_run: int) -> float:
    """Mebibytes that one image needs at most."""
    return bytes_of_run / 2**20


@indicator(
    formula="1000 * joules by the device's counter / runs, over repeated forward passes of one image",
    source=_SOURCE,
    higher_is_better=True,
    assumes="evaluation mode, the device at hand and what else runs on it",
)
def energy(joules_of_run: float) -> float:
    """Millijoules that one image takes."""
    return 1000 * joules_of_run
