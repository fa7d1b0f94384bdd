"""The clean pass: one forward, and the backward passes that share its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.probes.base import Observations, Subject, preserved, probe
from fusion.probes.calls import PRODUCTS, Call, Calls, Watcher
from fusion.probes.codes import SIGNS, CodeStatistics, watch_codes
from fusion.probes.curvature import Masks, weight_curvature
from fusion.probes.feature_maps import FeatureCorrelations
from fusion.probes.layers import LayerGradient, LayerGradients
from fusion.probes.meter import Meter
from fusion.probes.outputs import require_signal, require_sum
from fusion.probes.stages import Stages
from fusion.probes.survey import require
from fusion.probes.undefined import Undefined, as_undefined
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
        Smallest eigenvalue of the correlations between channels, for the first sample.
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
        found.give("weight_curvature", lambda: _curvature(subject, masks))
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


def _curvature(subject: Subject, masks: Masks) -> list[Tensor]:
    found = subject.survey
    require(found.detached or found.incomplete or found.bends)
    return weight_curvature(subject.network, subject.x, subject.batch.y, masks, [*found.weights])


def _one_graph(subject: Subject, found: _Giver, masks: Masks) -> None:
    """One forward pass, and all backward passes through its graph."""
    network, y, wanted, told = subject.network, subject.batch.y, found.wanted, subject.survey
    with_graph = bool(wanted & _GRAPH)
    x = subject.x.clone().requires_grad_(with_graph)
    codes = CodeStatistics(len(x))
    stages = Stages(network, told.stage_calls, told.axes)
    gradients = LayerGradients(told.weights, len(x), None if told.known else told.has_samples_first)
    maps = FeatureCorrelations(network, found.meter, None if told.known else told.map_calls, told.axes)
    with torch.set_grad_enabled(with_graph):
        with ExitStack() as watchers:
            # what is not defined is not watched either: it may be of any size
            coded = [_metered(codes.see, found.meter, _CODES)] if wanted & _CODES and not told.codes else []
            masked = [masks.see] if "weight_curvature" in wanted else []
            if told.smooth and coded:
                watchers.enter_context(watch_codes(*coded, smooth=True))
                subject.notes |= dict.fromkeys(_CODES, SIGNS)
                coded = []
            if coded or masked:
                watchers.enter_context(watch_codes(*coded, *masked))
            watched: list[Watcher] = []
            if wanted & _STAGES and not told.stages:
                watched += stages.watched(watchers)
            if "map_eigenvalues" in wanted and not told.maps:
                watched += maps.watched(watchers)
            if "layer_gradients" in wanted:
                watched.append(gradients)
            calls = watchers.enter_context(Calls(*watched)) if watched else None
            logits = network(x)
        lost = {} if calls is None else calls.failures
        dull = _dull(network, x, logits)
        strayed = None
        if calls is not None and not told.known and calls.count != told.calls:
            strayed = Undefined("the network computes in another way for more images")
            gradients.forget_samples()
        uncoded = told.codes
        if told.rectifiers is not None and codes.calls != len(told.rectifiers) and not told.codes:
            uncoded = Undefined("the network calls other activations for more images")

        def give(
            name: str, function: Callable[[], Any], *reasons: Undefined | None, watcher: Any = None
        ) -> None:
            def guarded() -> Any:
                for reason in reasons:
                    require(reason)
                if watcher in lost:
                    raise lost[watcher]
                return function()

            found.give(name, guarded)

        give("code_agreement", codes.kernel, uncoded)
        give("code_spectrum", lambda: torch.linalg.eigvalsh(codes.kernel()), uncoded)
        give("code_units", codes.count_units, uncoded)
        give("unit_patterns", codes.patterns, uncoded)
        give("inputs", lambda: subject.batch.x.flatten(1))
        give("labels", lambda: y)
        give("stage_spectra", stages.spectra, told.stages, strayed, watcher=stages)
        give("map_eigenvalues", maps.smallest_eigenvalues, told.maps, strayed, watcher=maps)
        give("logits", logits.detach, dull)
        give(
            "layer_gradients",
            lambda: _layer_gradients(gradients, logits, y, x),
            *(dull, told.detached, told.incomplete),
            watcher=gradients,
        )
        give("stage_transfers", lambda: stages.transfers(subject.seed), told.stages, strayed, watcher=stages)

        @cache
        def gradient() -> Tensor:
            require_sum(logits)
            with found.meter.of("input_gradient", "input_correlations"):
                return _input_gradient(logits, torch.ones_like(logits), x)

        give("input_gradient", gradient, dull)
        give("input_correlations", lambda: _correlations(gradient()), dull)
        give(
            "random_input_gradient",
            lambda: _input_gradient(logits, random_signs(logits, subject.seed), x),
            dull,
        )


class _LastInput(Watcher):
    """Keeps what the last layer works on."""

    def __init__(self) -> None:
        self.input: Any = None

    def before(self, call: Call) -> None:
        """Keep the input of a layer."""
        if call.name in PRODUCTS:
            self.input = call.input


def _dull(network: nn.Module, x: Tensor, logits: Tensor) -> Undefined | None:
    """Return why the outputs tell nothing, where the features before the last layer do.

    A head of zeros, as vision transformers have before training, says nothing of the rest.

    Raises
    ------
    Undefined
        Where neither tells the images apart.
    """
    try:
        require_signal(logits)
    except Undefined as reason:
        if len(logits) < 2 or not logits.isfinite().all():
            raise
        last = _LastInput()
        with torch.no_grad(), Calls(last):
            network(x.detach())
        if not isinstance(last.input, Tensor) or torch.equal(
            last.input, last.input[:1].expand_as(last.input)
        ):
            raise
        return reason
    return None


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
