"""Synaptic flow: weights alone, no data."""

from __future__ import annotations

import math

from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="log sum |w dR/dw|, R the sum of the outputs for an image of ones with all weights |w|",
    source="Tanaka et al., Pruning neural networks without any data, NeurIPS 2020, arXiv:2006.05467; "
    "as a network's score: Abdelfattah et al., ICLR 2021, arXiv:2101.08134",
    higher_is_better=True,
    assumes="normalisation layers hand their input on, biases |b|; default initialisation, no data",
)
def synflow(synaptic_flow: list[Tensor]) -> float:
    """Logarithm of the flow through all paths of the linearised network."""
    total = sum(float(layer.abs().sum()) for layer in synaptic_flow)
    if total == 0:
        raise Undefined("no flow reaches the outputs")
    return math.log(total)
