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
    """Takes the correlations between the channels of every layer's output for the first sample.

    They are the Gram matrix of centred rows, one per channel, so their rank is below the number of
    positions: with no more positions than channels, or with a constant channel, the smallest eigenvalue is
    0, and neither the matrix nor its eigenvalues are computed.
    """

    def __init__(self, network: nn.Module, meter: Meter) -> None:
        self.meter = meter
        self.modules = [module for module in network.modules() if not any(module.children())]
        self.layers = 0
        self.matrices: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hook every layer while the forward pass runs."""

        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
                with self.meter.of("map_eigenvalues"):
                    self._take(output[0].detach().flatten(1))

        with hooked(self.modules, hook):
            yield

    def _take(self, rows: Tensor) -> None:
        self.layers += 1
        channels, positions = rows.shape
        if positions <= channels:
            return
        rows = rows - rows.mean(1, keepdim=True)
        norms = rows.norm(dim=1, keepdim=True)
        if (norms > 0).all():
            rows = rows / norms
            self.matrices.append(rows @ rows.T)

    def smallest_eigenvalues(self) -> Tensor:
        """Return (layers,), float64: the smallest eigenvalue of each layer's correlations, in no order."""
        found = [torch.zeros(0, dtype=torch.float64)]
        sizes = {len(matrix) for matrix in self.matrices}
        for size in sorted(sizes):  # one call for all matrices of a size
            stack = torch.stack([matrix for matrix in self.matrices if len(matrix) == size])
            found.append(torch.linalg.eigvalsh(stack.double().cpu())[:, 0])
        return torch.cat([*found, torch.zeros(self.layers - len(self.matrices), dtype=torch.float64)])
