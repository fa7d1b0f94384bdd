"""Indicators of the piecewise linear map: its linear regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.indicators.base import indicator

_TE_NAS = "Chen et al., TE-NAS, ICLR 2021, arXiv:2102.11535"
_ASSUMES = (
    "thinned network of a search space, training-mode batch normalisation, default initialisation, no labels"
)


@indicator(
    formula="sum_i 1/#{j : pattern_j = pattern_i}, patterns of active units for 3,000 inputs of 1x3x3",
    source=_TE_NAS + "; the NLR of FI",
    higher_is_better=True,
    assumes=_ASSUMES,
)
def nlr(region_sizes: NDArray[np.int64]) -> float:
    """Number of linear regions met by random inputs."""
    return float(len(region_sizes))


@indicator(
    formula="-sum_r p_r log p_r, p the share of the inputs that lie in region r",
    source="variant of NLR, " + _TE_NAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def nlr_entropy(region_sizes: NDArray[np.int64]) -> float:
    """Entropy of the linear regions: how evenly random inputs fall into them."""
    shares = region_sizes / region_sizes.sum()
    return float(np.sum(shares * np.log(1 / shares)))


@indicator(
    formula="#{i : no j has pattern_i}",
    source="variant of NLR, " + _TE_NAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def nlr_single(region_sizes: NDArray[np.int64]) -> float:
    """Number of random inputs that have a linear region for themselves."""
    return float(np.sum(region_sizes == 1))
