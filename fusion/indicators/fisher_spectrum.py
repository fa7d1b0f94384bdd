"""Indicators of the spectrum of the Fisher information."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="-sum_k q_k log q_k, q the nine deciles of the eigenvalues of the Fisher information, sum 1",
    source="Tybl, Neumann, VKDNW, CVPR 2025, arXiv:2502.04975 (there plus the number of tensors, `tensors`)",
    higher_is_better=True,
    assumes="evaluation-mode batch normalisation with fresh statistics, Kaiming fan-in initialisation, 16 "
    "images, one weight of each of the first 128 tensors, no labels",
)
def vkdnw(fisher_information: Tensor) -> float:
    """Entropy of the Fisher information's spectrum: how evenly the output depends on the weights."""
    eigenvalues = torch.linalg.eigvalsh(fisher_information)
    # below this an eigenvalue is rounding, not signal: gradients are float32
    eigenvalues[eigenvalues < eigenvalues[-1] * torch.finfo(torch.float32).eps] = 0
    deciles = torch.quantile(eigenvalues, torch.arange(1, 10, dtype=torch.float64) / 10)
    if deciles.sum() == 0:
        raise Undefined("the outputs depend on too few weights")
    return float(torch.special.entr(deciles / deciles.sum()).sum())
