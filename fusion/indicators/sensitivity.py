"""Indicators of how the output answers to noise at the input."""

from __future__ import annotations

from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined


@indicator(
    formula="Var_n(mean_k(f_k(x_n + e_n) - f_k(x_n))), e Gaussian, standard deviation 0.01",
    source="Forouzesh, Salehi, Thiran, Generalization Comparison of Deep Neural Networks via Output "
    "Sensitivity, arXiv:2007.15378; the OS of FI",
    higher_is_better=False,
    assumes="training-mode batch normalisation, default initialisation, one draw of noise, no labels",
)
def os(logits: Tensor, perturbed_logits: Tensor) -> float:
    """Output sensitivity: variance of the mean change of the outputs under small noise."""
    if len(logits) < 2:
        raise Undefined("needs a batch of at least 2")
    change = (perturbed_logits.double() - logits.double()).mean(1)
    return float(change.var(correction=0))
