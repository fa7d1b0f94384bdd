"""Stages of a network: the feature maps between its cells or blocks, and the steps between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.probes.base import hooked
from fusion.probes.calls import Call, Calls, Watcher
from fusion.probes.layers import CONVOLUTIONS
from fusion.probes.survey.axes import as_maps
from fusion.probes.undefined import Undefined
from fusion.seeding import derive_seed


def _is_stage(module: nn.Module) -> bool:
    """Whether a module of the main line is a stage of its own: a block, or a sequence with a convolution."""
    parts = list(module.children())
    if not isinstance(module, nn.Sequential):
        return bool(parts) and not isinstance(module, nn.ModuleList)
    return all(not any(part.children()) for part in parts) and any(isinstance(p, CONVOLUTIONS) for p in parts)


def _expand(modules: list[nn.Module]) -> list[nn.Module]:
    """Return the stages among modules, looking into sequences and lists of blocks only."""
    found: list[nn.Module] = []
    for module in modules:
        if _is_stage(module):
            found.append(module)
        elif isinstance(module, nn.Sequential | nn.ModuleList):
            found += _expand(list(module.children()))
    return found


def stage_modules(network: nn.Module) -> list[nn.Module]:
    """Return the modules whose outputs are the stages of a network.

    Cells, residual blocks and the stem: the outermost modules that are no mere sequence of others.
    Where that is a single one, its parts; in a plain stack of layers, its convolutions.
    """
    found = _expand([network] if isinstance(network, nn.Sequential) else list(network.children()))
    while len(found) == 1:
        inner = _expand(list(found[0].children()))
        if not inner:
            break
        found = inner
    if len(found) < 2:
        return [module for module in network.modules() if isinstance(module, CONVOLUTIONS)]
    return found


class Stages(Watcher):
    """Keeps the feature maps of the stages of one forward pass, with their graph.

    Parameters
    ----------
    network : Module
    calls : set of int, optional
        Calls that give the stages; without them the outputs of `stage_modules` are the stages.
    axes : mapping of int to int
        Call -> dimension of the channels; 1 of those that are not in it.
    """

    def __init__(
        self,
        network: nn.Module,
        calls: frozenset[int] | None = None,
        axes: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self.calls, self.axes = calls, axes
        self.modules = stage_modules(network) if calls is None else []
        self.maps: list[Tensor] = []
        self._versions: list[int] = []
        self._channels: list[int] = []

    def watched(self, stack: ExitStack) -> list[Watcher]:
        """Hook modules until the stack is left, or return what is to look at calls."""

        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                self._keep(output)

        if self.calls is not None:
            return [self]
        stack.enter_context(hooked(self.modules, hook))
        return []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the forward pass runs."""
        with ExitStack() as stack:
            watched = self.watched(stack)
            calls = stack.enter_context(Calls(*watched))
            yield
        if error := calls.failures.get(self):
            raise error

    def after(self, call: Call, out: Any) -> Any:
        """Keep the result of a stage, and let the network have another, which it may write over."""
        if self.calls is None or call.number not in self.calls:
            return out
        self._keep(out, self.axes.get(call.number, 1))
        return out if call.in_place else out.clone()

    def _keep(self, features: Tensor, axis: int = 1) -> None:
        self.maps.append(features)
        self._channels.append(axis)
        self._versions.append(features._version)

    def require_maps(self) -> None:
        """Raise Undefined without two stages, or where the network wrote over one."""
        if len(self.maps) < 2:
            raise Undefined("needs at least two stages with feature maps")
        if any(kept._version != version for kept, version in zip(self.maps, self._versions, strict=True)):
            raise Undefined("the network writes over the feature maps of a stage")

    def spectra(self) -> list[Tensor]:
        """Return for each stage the eigenvalues (channels,), ascending, of its channels' covariance.

        Over samples and positions; float64, on the CPU, not below 0.
        """
        self.require_maps()
        found = []
        for features, axis in zip(self.maps, self._channels, strict=True):
            rows = _rows(as_maps(features.detach(), axis))
            rows = rows - rows.mean(0)
            covariance = (rows.T @ rows).double() / len(rows)
            found.append(torch.linalg.eigvalsh(covariance.cpu()).clamp(min=0))
        return found

    def transfers(self, seed: int) -> list[Tensor | None]:
        """Return for each step between stages its channel Jacobian (channels in, channels out).

        With random signs r at the later stage, J^T r at the earlier one, correlated channel by
        channel: E[(J^T r) r^T] averaged over samples and positions. A step that halves the
        resolution has four channels in for each channel of the earlier stage. None for a step that
        hands its input on unchanged. The graph of the forward pass is kept.
        """
        self.require_maps()
        found: list[Tensor | None] = []
        steps = zip(self.maps[:-1], self.maps[1:], self._channels[:-1], self._channels[1:], strict=True)
        for before, after, axis, axis_after in steps:
            last = after.is_contiguous(memory_format=torch.channels_last)
            r = _signs(tuple(after.shape), seed, after.device, last).to(after.dtype)
            (g,) = torch.autograd.grad(after, before, r, retain_graph=True, allow_unused=True)
            if g is None:
                raise Undefined("stages do not follow one another")
            if g.shape == r.shape and torch.equal(g, r):
                found.append(None)
                continue
            g, r = as_maps(g, axis), as_maps(r, axis_after)
            step = g.shape[2] // r.shape[2]
            across = 1 if before.dim() == after.dim() == 3 else step
            if g.shape[2:] != (step * r.shape[2], across * r.shape[3]):
                raise Undefined("the resolution of a stage is no multiple of the next one's")
            if step > 1 and across == 1:
                raise Undefined("stages have different numbers of tokens")
            rows = _rows(functional.pixel_unshuffle(g, step) if step > 1 else g)
            found.append((rows.T @ _rows(r)).double().cpu() / len(rows))
        return found


def _rows(features: Tensor) -> Tensor:
    """Return (samples x positions, channels) of feature maps."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


@lru_cache(maxsize=8)
def _signs(shape: tuple[int, ...], seed: int, device: torch.device, channels_last: bool) -> Tensor:
    """Return random signs; kept, because every network of a space has the same few shapes."""
    generator = torch.Generator().manual_seed(derive_seed("signs", seed, shape))
    bits = torch.empty(shape, dtype=torch.int8).random_(0, 2, generator=generator)
    signs = bits.to(device, torch.float32).mul_(2).sub_(1)
    return signs.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
