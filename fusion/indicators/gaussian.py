"""Indicators with Gaussian weights on Gaussian images."""

from __future__ import annotations

from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="log mean_n ||f(x_n) - f(x_n + 0.01 e_n)||_1 + sum over batch norms of log sqrt(mean variance)",
    source="Lin et al., Zen-NAS, ICCV 2021, arXiv:2102.01063 (variances of the batch, not a running average)",
    higher_is_better=True,
    assumes="N(0, 1) weights, 16 images of N(0, 1), training-mode batch normalisation, features of the last "
    "stage, one draw; no labels, no data",
)
def zen(gaussian_change: Tensor, gaussian_variances: Tensor) -> float:
    """Zen score: Gaussian complexity of the features, with batch normalisation's scale put back."""
    change = gaussian_change.mean()
    if change == 0:
        raise Undefined("noise at the input changes no feature")
    return float(change.log() + 0.5 * gaussian_variances.log().sum())
