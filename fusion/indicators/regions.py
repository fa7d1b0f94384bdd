"""Indicators of the piecewise linear map: its linear regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.indicators.base import indicator


@indicator(
    formula="sum_i 1/#{j : pattern_j = pattern_i}, patterns of active units for 3,000 inputs of 1x3x3",
    source="Chen et al., TE-NAS, ICLR 2021, arXiv:2102.11535; the NLR of FI",
    higher_is_better=True,
    assumes="thinned network, training-mode batch normalisation, default initialisation, no labels",
)
def nlr(region_sizes: NDArray[np.int64]) -> float:
    """Number of linear regions met by random inputs."""
    return float(len(region_sizes))
