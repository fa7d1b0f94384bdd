"""Indicators of the empirical neural tangent kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="lambda_max / lambda_min of Theta = G G^T, G per-sample gradients of summed logits",
    source="Chen et al., TE-NAS, ICLR 2021, arXiv:2102.11535; the CNNTK of FI",
    higher_is_better=False,
    assumes="batch statistics held constant, Kaiming fan-out initialisation (values vary much between "
    "initialisations: use repeats), no labels",
)
def cnntk(tangent_kernel: Tensor) -> float:
    """Condition number of the neural tangent kernel: how evenly gradient descent learns samples."""
    eigenvalues = torch.linalg.eigvalsh(tangent_kernel)
    # below this an eigenvalue is rounding, not signal: gradients are float32
    if eigenvalues[0] <= eigenvalues[-1] * torch.finfo(torch.float32).eps:
        raise Undefined("the tangent kernel is singular")
    return float(eigenvalues[-1] / eigenvalues[0])


@indicator(
    formula="tr Theta = sum_n ||d(sum of logits of n)/dw||^2",
    source="Shu et al., NASI, ICLR 2022, arXiv:2109.00817 (there approximated by the gradient of the loss)",
    higher_is_better=True,
    assumes="batch statistics held constant, Kaiming fan-out initialisation, no labels",
)
def ntk_trace(tangent_kernel: Tensor) -> float:
    """Trace of the neural tangent kernel: how fast gradient descent learns at all."""
    trace = float(tangent_kernel.trace())
    if trace == 0:
        raise Undefined("the network has no weights that its outputs depend on")
    return trace
