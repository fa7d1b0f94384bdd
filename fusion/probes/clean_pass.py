"""The clean pass: one forward, and the backward passes that share its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.probes.base import (
    Observations,
    Subject,
    Undefined,
    as_undefined,
    preserved,
    probe,
    require_signal,
)
from fusion.probes.codes import CodeStatistics, watch_codes
from fusion.probes.curvature import Masks, weight_curvature
from fusion.probes.feature_maps import FeatureCorrelations
from fusion.probes.layers import LayerGradient, LayerGradients
from fusion.probes.meter import Meter
from fusion.probes.stages import Stages
from fusion.seeding import derive_seed

_CODES = frozenset({"code_agreement", "code_spectrum", "code_units", "unit_patterns"})
_STAGES = frozenset({"stage_spectra", "stage_transfers"})
_GRAPH = frozenset(
    {"input_gradient", "input_correlations", "layer_gradients", "stage_transfers", "random_input_gradient"}
)


@probe(
    code_agreement="forward",
    code_spectrum="forward",
    code_units="forward",
    unit_patterns="forward",
    inputs="structure",
    labels="structure",
    logits="forward",
    stage_spectra="forward",
    map_eigenvalues="forward",
    input_gradient="passes",
    input_correlations="passes",
    layer_gradients="backward",
    stage_transfers="passes",
    random_input_gradient="passes",
    weight_curvature="passes",
)
def clean_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in training mode; backward of the loss to every layer, of the logits to the input.

    Batch normalisation uses the batch's own statistics, so a sample's gradient includes its
    influence on the others through them. The loss is the mean cross-entropy.

    Observations
    ------------
    code_agreement : Tensor (batch, batch), float64
        Rectifier units on which two samples are both active or both inactive.
    code_spectrum : Tensor (batch,), float64
        Eigenvalues of `code_agreement`, ascending.
    code_units : int
        Rectifier units per sample.
    unit_patterns : int
        Different patterns of units across the first 16 samples.
    inputs : Tensor (batch, pixels)
    labels : Tensor (batch,)
    logits : Tensor (batch, classes)
    stage_spectra : list of Tensor (channels,), float64
        Per stage, eigenvalues of the covariance of its channels; see `Stages`.
    map_eigenvalues : Tensor (layers,), float64
        Smallest eigenvalue of the correlations between channels, for the first sample; in no order.
    input_gradient : Tensor (batch, pixels)
        d(sum of all logits)/d(input).
    input_correlations : Tensor (batch, batch), float64
        Pearson's correlations between the samples' rows of `input_gradient`.
    layer_gradients : list of LayerGradient
        d(loss)/d(weight) of convolutions and linear layers.
    stage_transfers : list of Tensor (channels in, channels out) or None
        Estimated channel Jacobian of each step between stages; see `Stages.transfers`.
    random_input_gradient : Tensor (batch, pixels)
        d(sum of r x logits)/d(input), r random signs (batch, classes): the square of its norm
        has the squared Frobenius norm of the Jacobian as expectation.
    weight_curvature : list of Tensor
        Hessian of the loss times the weights, for the layers of `layer_gradients`.
    """
    network = subject.network
    with preserved(network), out_of_place(network):
        network.train()
        found = _Giver(wanted, subject.meter)
        masks = Masks()
        _one_graph(subject, found, masks)  # the graph is freed before the next passes
        found.give("weight_curvature", lambda: weight_curvature(network, subject.x, subject.batch.y, masks))
    return found.observations


class _Giver:
    """Collects the observations that are wanted; one that cannot be had does not lose the others."""

    def __init__(self, wanted: frozenset[str], meter: Meter) -> None:
        self.wanted = wanted
        self.meter = meter
        self.observations: Observations = {}

    def give(self, name: str, function: Callable[[], Any]) -> None:
        if name in self.wanted:
            try:
                with self.meter.of(name):
                    self.observations[name] = function()
            except Exception as error:
                self.observations[name] = as_undefined(error)


def _one_graph(subject: Subject, found: _Giver, masks: Masks) -> None:
    """One forward pass, and all backward passes through its graph."""
    network, y, wanted = subject.network, subject.batch.y, found.wanted
    with_graph = bool(wanted & _GRAPH)
    x = subject.x.clone().requires_grad_(with_graph)
    codes = CodeStatistics(len(x))
    stages, gradients = Stages(network), LayerGradients(network, len(x))
    maps = FeatureCorrelations(network, found.meter)
    with torch.set_grad_enabled(with_graph):
        with ExitStack() as watchers:
            sees = [_metered(codes.see, found.meter, _CODES)] if wanted & _CODES else []
            sees += [masks.see] if "weight_curvature" in wanted else []
            if sees:
                watchers.enter_context(watch_codes(*sees))
            if wanted & _STAGES:
                watchers.enter_context(stages.watching())
            if "map_eigenvalues" in wanted:
                watchers.enter_context(maps.watching())
            if "layer_gradients" in wanted:
                watchers.enter_context(gradients.watching())
            logits = network(x)
        require_signal(logits)
        found.give("code_agreement", codes.kernel)
        found.give("code_spectrum", lambda: torch.linalg.eigvalsh(codes.kernel()))
        found.give("code_units", codes.count_units)
        found.give("unit_patterns", codes.patterns)
        found.give("inputs", lambda: subject.batch.x.flatten(1))
        found.give("labels", lambda: y)
        found.give("logits", logits.detach)
        found.give("stage_spectra", stages.spectra)
        found.give("map_eigenvalues", maps.smallest_eigenvalues)
        found.give("layer_gradients", lambda: _layer_gradients(gradients, logits, y, x))
        found.give("stage_transfers", lambda: stages.transfers(subject.seed))

        @cache
        def gradient() -> Tensor:
            with found.meter.of("input_gradient", "input_correlations"):
                return _input_gradient(logits, torch.ones_like(logits), x)

        found.give("input_gradient", gradient)
        found.give("input_correlations", lambda: _correlations(gradient()))
        signs = random_signs(logits, subject.seed)
        found.give("random_input_gradient", lambda: _input_gradient(logits, signs, x))


def _metered(
    see: Callable[[Tensor | None, int], None], meter: Meter, observations: frozenset[str]
) -> Callable[[Tensor | None, int], None]:
    def metered(mask: Tensor | None, number: int) -> None:
        with meter.of(*observations):
            see(mask, number)

    return metered


def _layer_gradients(gradients: LayerGradients, logits: Tensor, y: Tensor, x: Tensor) -> list[LayerGradient]:
    require_classes(y)
    found = gradients.backward(functional.cross_entropy(logits, y), x)
    if not any(layer.gradient.any() for layer in found):
        raise Undefined("the loss depends on no weight of a layer")
    return found


def require_classes(y: Tensor) -> None:
    """Raise Undefined for labels that hold a single class: a loss on them tells nothing apart."""
    if (y == y[0]).all():
        raise Undefined("the labels of the batch hold a single class")


def _input_gradient(logits: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits, x, weights, retain_graph=True)
    return gradient.flatten(1)


def _correlations(gradient: Tensor) -> Tensor:
    rows = gradient.double().cpu()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if not (norms > 0).all():
        raise Undefined("the gradient of a sample is constant")
    rows = rows / norms
    correlations: Tensor = rows @ rows.T
    return correlations


def random_signs(logits: Tensor, seed: int) -> Tensor:
    """Return random signs of the shape of the logits."""
    generator = torch.Generator().manual_seed(derive_seed("outputs", seed))
    signs = torch.randint(0, 2, logits.shape, generator=generator) * 2 - 1
    return signs.to(logits)


@contextmanager
def out_of_place(network: nn.Module) -> Iterator[None]:
    """Let no activation overwrite its input, which watchers look at later."""
    changed: list[Any] = [m for m in network.modules() if getattr(m, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True
