"""Linear regions: activation patterns of many tiny inputs on the thinned network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.codes import NO_CODES, as_code, watch_codes
from fusion.probes.survey import require
from fusion.seeding import derive_seed

PATCHES = 3000
SIDE = 3


def random_patches(x: Tensor, seed: int) -> Tensor:
    """Return (3000, 1, 3, 3) random crops of the first channel of images (n, c, h, w)."""
    rng = np.random.default_rng(derive_seed("patches", seed))
    image = torch.from_numpy(rng.integers(len(x), size=PATCHES)).to(x.device)
    top = torch.from_numpy(rng.integers(x.shape[2] - SIDE + 1, size=PATCHES)).to(x.device)
    left = torch.from_numpy(rng.integers(x.shape[3] - SIDE + 1, size=PATCHES)).to(x.device)
    step = torch.arange(SIDE, device=x.device)
    rows, columns = top[:, None, None] + step[:, None], left[:, None, None] + step
    return x[image[:, None, None], 0, rows, columns][:, None]


@probe(region_sizes="passes")
def linear_regions(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in training mode of 3,000 crops of 1x3x3 pixels through the thinned network.

    Observations
    ------------
    region_sizes : ndarray (regions,), int64
        For each different pattern of active rectifier units, the number of inputs that have it.
    """
    network = subject.thin_network
    require(subject.thin_survey.codes)
    if subject.thin_survey.smooth:
        raise Undefined("smooth activations have no linear regions")
    codes: list[Tensor] = []

    def see(mask: Tensor | None, _: int) -> None:
        if mask is not None:  # the same units again split no region
            codes.append(as_code(mask).bool())

    with preserved(network), torch.no_grad(), watch_codes(see):
        network.train()
        network(random_patches(subject.batch.x, subject.seed))
    if not codes:
        raise Undefined(NO_CODES)
    packed = np.packbits(torch.cat(codes, 1).cpu().numpy(), axis=1)
    patterns = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    return {"region_sizes": np.unique(patterns, return_counts=True)[1]}
