"""Feature maps of one sample: how far the channels of each layer's output are from being copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fusion.probes.base import hooked
from fusion.probes.meter import Meter


class FeatureCorrelations:
    """Takes the correlations between the channels of every layer's output for the first sample."""

    def __init__(self, network: nn.Module, meter: Meter) -> None:
        self.meter = meter
        self.modules = [module for module in network.modules() if not any(module.children())]
        self.matrices: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hook every layer while the forward pass runs."""

        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
                with self.meter.of("map_eigenvalues"):
                    self.matrices.append(_correlations(output[0].detach().flatten(1)))

        with hooked(self.modules, hook):
            yield

    def smallest_eigenvalues(self) -> Tensor:
        """Return (layers,), float64: the smallest eigenvalue of each layer's correlations."""
        found = torch.zeros(len(self.matrices), dtype=torch.float64)
        sizes = {len(matrix) for matrix in self.matrices}
        for size in sorted(sizes):  # one call for all matrices of a size
            which = [i for i, matrix in enumerate(self.matrices) if len(matrix) == size]
            stack = torch.stack([self.matrices[i] for i in which])
            found[which] = torch.linalg.eigvalsh(stack.double().cpu())[:, 0]
        return found


def _correlations(rows: Tensor) -> Tensor:
    """Return Pearson's correlations (channels, channels); 0 with a constant channel."""
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    rows = torch.where(norms > 0, rows / norms, 0)
    return rows @ rows.T
