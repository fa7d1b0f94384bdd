"""Feature maps of one sample: how far the channels of each layer's output are from being copies."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from fusion.probes.base import hooked
from fusion.probes.calls import Call, Watcher
from fusion.probes.meter import Meter
from fusion.probes.survey.axes import as_maps


class FeatureCorrelations(Watcher):
    """Takes the correlations between the channels of every layer's output for the first sample.

    Parameters
    ----------
    network : Module
    meter : Meter
    calls : set of int, optional
        Calls of the layers; without them modules without parts are the layers.
    axes : mapping of int to int
        Call -> dimension of the channels; 1 of those that are not in it.
    """

    def __init__(
        self,
        network: nn.Module,
        meter: Meter,
        calls: frozenset[int] | None = None,
        axes: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self.meter = meter
        self.calls, self.axes = calls, axes
        self.modules = [module for module in network.modules() if not any(module.children())]
        self.matrices: list[Tensor] = []
        self.singular = 0

    def watched(self, stack: ExitStack) -> list[Watcher]:
        """Hook modules until the stack is left, or return what is to look at calls."""

        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
                self._see(output)

        if self.calls is not None:
            return [self]
        stack.enter_context(hooked(self.modules, hook))
        return []

    def after(self, call: Call, out: Any) -> Any:
        """Look at the result of a layer."""
        if self.calls is not None and call.number in self.calls:
            self._see(as_maps(out.detach(), self.axes.get(call.number, 1)))
        return out

    def _see(self, features: Tensor) -> None:
        with self.meter.of("map_eigenvalues"):
            rows = features[0].detach().flatten(1)
            if self.calls is not None and rows.shape[1] <= len(rows):
                self.singular += 1
            else:
                self.matrices.append(_correlations(rows))

    def smallest_eigenvalues(self) -> Tensor:
        """Return (layers,), float64: the smallest eigenvalue of each layer's correlations.

        It is 0 with no more positions than channels, of which the networks of the spaces have the rounding
        error, as their tables do, and others 0.
        """
        found = torch.zeros(len(self.matrices) + self.singular, dtype=torch.float64)
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
