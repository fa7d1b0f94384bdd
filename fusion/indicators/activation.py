"""Indicators of the activation codes: NASWOT, and the two atomic metrics of DAS."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined

_NASWOT = "Mellor et al., Neural Architecture Search without Training, ICML 2021, arXiv:2006.04647"
_DAS = "Liu et al., DAS, arXiv:2212.12132 (reimplementation: no code is public)"
_SWAP = "Peng et al., SWAP-NAS, ICLR 2024, arXiv:2403.04161"
_ASSUMES = (
    "ReLU, ReLU6, LeakyReLU or PReLU (where fewer than 90 % of activations are, signs of the inputs of all, "
    "and the status says so); training-mode batch normalisation, default initialisation, no labels"
)


def _log_determinant(spectrum: Tensor) -> float:
    """Return log|det| of a kernel of counts from its eigenvalues; raises Undefined when it is singular."""
    # entries are integers: a singular kernel may still come out with a tiny eigenvalue
    if spectrum[0] <= spectrum[-1] * len(spectrum) * torch.finfo(spectrum.dtype).eps:
        raise Undefined("activation codes do not distinguish all samples")
    return float(spectrum.log().sum())


def _ability(spectrum: Tensor, units: int) -> float:
    """Return the geometric mean of the eigenvalues of K_H / N_A."""
    return math.exp(_log_determinant(spectrum) / len(spectrum)) / units


@indicator(
    formula="log|det K_H|, K_H[i,j] = units on which samples i and j are both active or both inactive",
    source=_NASWOT,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def naswot(code_spectrum: Tensor) -> float:
    """How distinct the activation codes of a batch are."""
    return _log_determinant(code_spectrum)


@indicator(
    formula="log|det(K_H / N_A)|, N_A rectifier units",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das_distinguish(code_spectrum: Tensor, code_units: int) -> float:
    """Distinguishing ability: NASWOT without the number of units."""
    return _log_determinant(code_spectrum) - len(code_spectrum) * math.log(code_units)


@indicator(
    formula="N log N_A, N samples; naswot = das_distinguish + das_units",
    source=_DAS,
    higher_is_better=True,
    assumes="batch size",
)
def das_units(code_spectrum: Tensor, code_units: int) -> float:
    """Number of activation units, on NASWOT's scale."""
    return len(code_spectrum) * math.log(code_units)


@indicator(
    formula="|det(K_H / N_A)|^(1/N) log N_A: the product of the two metrics, both positive",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das(code_spectrum: Tensor, code_units: int) -> float:
    """Distinguishing ability times the logarithm of the number of units."""
    return _ability(code_spectrum, code_units) * math.log(code_units)


@indicator(
    formula="|det(K_H / N_A)|^(1/N) + log N_A: the sum of the two metrics, both positive",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das_sum(code_spectrum: Tensor, code_units: int) -> float:
    """Distinguishing ability plus the logarithm of the number of units."""
    return _ability(code_spectrum, code_units) + math.log(code_units)


@indicator(
    formula="2 a u / (a + u), a = |det(K_H / N_A)|^(1/N), u = log N_A: the harmonic mean of the metrics",
    source=_DAS,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def das_harmonic(code_spectrum: Tensor, code_units: int) -> float:
    """Harmonic mean of distinguishing ability and the logarithm of the number of units."""
    a, u = _ability(code_spectrum, code_units), math.log(code_units)
    return 2 * a * u / (a + u)


@indicator(
    formula="#{different patterns over the samples of a unit}, of the first 16 samples",
    source=_SWAP + " (there N(0, 1) weights, ReLUs of convolutional maps only, 32 repeats)",
    higher_is_better=True,
    assumes=_ASSUMES,
)
def swap(unit_patterns: int) -> float:
    """Sample-wise activation patterns: in how many ways units split the samples."""
    if unit_patterns < 2:
        raise Undefined("all units have the same pattern")
    return float(unit_patterns)


@indicator(
    formula="log swap - ((P - m) / m)^2, P trainable weights, m = 1,000,000",
    source=_SWAP + "; its regularisation with mu = sqrt(sigma) = 1,000 thousand weights, on a log scale",
    higher_is_better=True,
    assumes=_ASSUMES + "; prefers networks of about a million weights",
)
def swap_regularised(unit_patterns: int, parameter_count: int) -> float:
    """Sample-wise activation patterns, weighed by how near the network is to a target size."""
    return math.log(swap(unit_patterns)) - (parameter_count / 1e6 - 1) ** 2
