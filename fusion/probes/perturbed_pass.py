"""The perturbed pass: a forward of the batch with a little Gaussian noise on it."""

from __future__ import annotations

import torch

from fusion.probes.base import Observations, Subject, preserved, probe
from fusion.seeding import derive_seed

# Standard deviation of the noise; images are normalised to 1 per channel.
SCALE = 0.01


@probe(perturbed_logits="passes")
def perturbed_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in training mode of x + e, e Gaussian with standard deviation 0.01.

    Observations
    ------------
    perturbed_logits : Tensor (batch, classes)
    """
    x = subject.x
    generator = torch.Generator().manual_seed(derive_seed("perturbation", subject.seed))
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    with preserved(subject.network), torch.no_grad():
        subject.network.train()
        return {"perturbed_logits": subject.network(x + SCALE * noise)}
