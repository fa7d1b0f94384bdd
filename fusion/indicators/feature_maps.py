"""Indicators of the feature maps of single layers."""

from __future__ import annotations

from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="sum over layers of lambda_min(P), P Pearson's correlations between channels, one image",
    source="Jiang, Wang, Bie, MeCo, NeurIPS 2023 (outputs of layers, not of the modules that hold them)",
    higher_is_better=True,
    assumes="training-mode batch normalisation, default initialisation, first image of the batch, no labels",
)
def meco(map_eigenvalues: Tensor) -> float:
    """Minimum eigenvalues of the correlations of feature maps."""
    if not len(map_eigenvalues):
        raise Undefined("no layer gives feature maps")
    return float(map_eigenvalues.sum())
