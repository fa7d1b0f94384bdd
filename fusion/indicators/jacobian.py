"""Indicators of the gradient at the input."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined
from fusion.probes.perturbed_pass import SCALE

_K = 1e-5
_ASSUMES = "training-mode batch normalisation, default initialisation"


@indicator(
    formula="-sum_i(log(v_i + k) + 1/(v_i + k)), v eigenvalues of the correlations between samples, k = 1e-5",
    source="Mellor et al., Neural Architecture Search without Training, arXiv:2006.04647v1; the CJ of FI",
    higher_is_better=True,
    assumes=_ASSUMES + ", no labels",
)
def cj(input_correlations: Tensor) -> float:
    """Correlation of the Jacobian between samples: how differently inputs move the output."""
    v = torch.linalg.eigvalsh(input_correlations).clamp(min=0) + _K
    return -float((v.log() + 1 / v).sum())


@indicator(
    formula="sum_c |sum_ij log(|R_c[i,j]| + k)|, R_c correlations of the gradients in class c, k = 1e-5",
    source="Lopes, Alirezazadeh, Alexandre, EPE-NAS, ICANN 2021, arXiv:2102.08099 (its rule for up to 100 "
    "classes, which its search uses for all)",
    higher_is_better=True,
    assumes=_ASSUMES + "; labels of at least two classes; depends on how the batch falls into classes",
)
def epe_nas(input_correlations: Tensor, labels: Tensor) -> float:
    """Correlation of the Jacobian within classes."""
    y = labels.cpu()
    classes = y.unique()
    if len(classes) < 2:
        raise Undefined("the labels of the batch hold a single class")
    logs = (input_correlations.abs() + _K).log()
    return sum(abs(float(logs[y == c][:, y == c].sum())) for c in classes)


@indicator(
    formula="sqrt(mean_n ||J_n||_F^2), J_n the Jacobian of the logits",
    source="Novak et al., Sensitivity and Generalization in Neural Networks, ICLR 2018, arXiv:1802.08760 "
    "(there of the softmax)",
    higher_is_better=False,
    assumes=_ASSUMES + ", no labels; ||J||^2 estimated by one random vector of signs",
)
def jacobian_norm(random_input_gradient: Tensor) -> float:
    """Norm of the Jacobian of the logits."""
    return float(random_input_gradient.double().square().sum(1).mean().sqrt())


@indicator(
    formula="mean_n ||d(mean of logits)/dx_n||^2 s^2, s = 0.01: os for small noise",
    source="Forouzesh, Salehi, Thiran, arXiv:2007.15378, first order of the output sensitivity",
    higher_is_better=False,
    assumes=_ASSUMES + ", no labels",
)
def os_limit(input_gradient: Tensor, logits: Tensor) -> float:
    """Output sensitivity to noise so small that the network is linear."""
    squares = input_gradient.double().square().sum(1).mean()
    return float(squares * (SCALE / logits.shape[1]) ** 2)


@indicator(
    formula="sqrt(mean_n tr(J_n S J_n^T) / tr Cov(f)), S covariance of the inputs",
    source="Philipp, Carbonell, The Nonlinearity Coefficient, arXiv:1806.00179",
    higher_is_better=False,
    assumes=_ASSUMES + ", no labels; the trace estimated by one random vector of signs, S from the batch",
)
def nlc(random_input_gradient: Tensor, inputs: Tensor, logits: Tensor) -> float:
    """Nonlinearity coefficient: 1 for a linear network, more the more the output bends."""
    if len(logits) < 2:
        raise Undefined("needs a batch of at least 2")
    # g^T S g = mean_m (g . (x_m - mean x))^2: the covariance itself is never formed
    centred = (inputs - inputs.mean(0)).double()
    bends = (random_input_gradient.double() @ centred.T).square().mean()
    spread = logits.double().var(0, correction=0).sum()
    return float((bends / spread).sqrt())
