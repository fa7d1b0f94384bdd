"""Indicators of the gradient at the input."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined

_K = 1e-5


@indicator(
    formula="-sum_i(log(v_i + k) + 1/(v_i + k)), v eigenvalues of the correlations between samples, k = 1e-5",
    source="Mellor et al., Neural Architecture Search without Training, arXiv:2006.04647v1; the CJ of FI",
    higher_is_better=True,
    assumes="training-mode batch normalisation, default initialisation, no labels",
)
def cj(input_gradient: Tensor) -> float:
    """Correlation of the Jacobian between samples: how differently inputs move the output."""
    rows = input_gradient.detach().cpu().numpy().astype(np.float64)
    rows = rows - rows.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (norms > 0).all():
        raise Undefined("the gradient of a sample is constant")
    rows /= norms
    v = np.linalg.eigvalsh(rows @ rows.T).clip(min=0)
    return float(-np.sum(np.log(v + _K) + 1 / (v + _K)))
