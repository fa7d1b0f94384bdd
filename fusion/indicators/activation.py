"""Indicators of the activation codes: NASWOT, and the two atomic metrics of DAS."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined

_NASWOT = "Mellor et al., Neural Architecture Search without Training, ICML 2021, arXiv:2006.04647"
_DAS = "Liu et al., DAS, arXiv:2212.12132 (reimplementation: no code is public)"
_ASSUMES = "training-mode batch normalisation, default initialisation, no labels"


def _log_determinant(kernel: Tensor) -> float:
    """Return log|det|; raises Undefined when two samples have the same code."""
    matrix = kernel.numpy()
    sign, value = np.linalg.slogdet(matrix)
    # entries are integers: a singular kernel may still come out as a tiny determinant
    if sign <= 0 or np.linalg.matrix_rank(matrix, hermitian=True) < len(matrix):
        raise Undefined("activation codes do not distinguish all samples")
    return float(value)


@indicator(
    formula="log|det K_H|, K_H[i,j] = units on which samples i and j are both active or both inactive",
    source=_NASWOT,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def naswot(code_agreement: Tensor) -> float:
    """How distinct the activation codes of a batch are."""
    return _log_determinant(code_agreement)


@indicator(
    formula="log|det(K_H / N_A)|, N_A rectifier units",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das_distinguish(code_agreement: Tensor, code_units: int) -> float:
    """Distinguishing ability: NASWOT without the number of units."""
    return _log_determinant(code_agreement / code_units)


@indicator(
    formula="N log N_A, N samples; naswot = das_distinguish + das_units",
    source=_DAS,
    higher_is_better=True,
    assumes="batch size",
)
def das_units(code_agreement: Tensor, code_units: int) -> float:
    """Number of activation units, on NASWOT's scale."""
    return len(code_agreement) * math.log(code_units)


@indicator(
    formula="|det(K_H / N_A)|^(1/N) log N_A: the product of the two metrics, both positive",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das(code_agreement: Tensor, code_units: int) -> float:
    """Distinguishing ability times the logarithm of the number of units."""
    ability = math.exp(_log_determinant(code_agreement / code_units) / len(code_agreement))
    return ability * math.log(code_units)
