"""Indicators of the stages of a network: what its cells make of the feature maps, one after another.

The fourth of AZ-NAS, complexity, is `flops`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined

_SOURCE = "Lee, Ham, AZ-NAS, CVPR 2024, arXiv:2403.19232 (there Kaiming initialisation and Gaussian images)"
_ASSUMES = "training-mode batch normalisation, default initialisation, at least two stages, no labels"


def _entropies(spectra: list[Tensor]) -> Tensor:
    """Return the entropy of each stage's normalised eigenvalues."""
    if any(spectrum.sum() == 0 for spectrum in spectra):
        raise Undefined("the feature maps of a stage are constant")
    return torch.stack([torch.special.entr(spectrum / spectrum.sum()).sum() for spectrum in spectra])


@indicator(
    formula="sum over stages of -sum_i p_i log p_i, p eigenvalues of the covariance of channels, sum 1",
    source=_SOURCE,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def az_expressivity(stage_spectra: list[Tensor]) -> float:
    """How evenly the features of the stages fill their space."""
    return float(_entropies(stage_spectra).sum())


@indicator(
    formula="min over stages of the gain in entropy from the stage before",
    source=_SOURCE,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def az_progressivity(stage_spectra: list[Tensor]) -> float:
    """The smallest increase of expressivity from one stage to the next."""
    return float(_entropies(stage_spectra).diff().min())


@indicator(
    formula="mean over steps of 2 - s - 1/s, s largest singular value of the channel Jacobian of a step",
    source=_SOURCE,
    higher_is_better=True,
    assumes=_ASSUMES + ", one draw of random signs",
)
def az_trainability(stage_transfers: list[Tensor | None]) -> float:
    """How near the steps between stages come to keeping the size of gradients."""
    scores = []
    for transfer in stage_transfers:
        if transfer is None:
            raise Undefined("a stage hands its input on unchanged")
        s = torch.linalg.matrix_norm(transfer, 2)
        scores.append(2 - s - 1 / (s + 1e-6))
    return float(torch.stack(scores).mean())
