"""What can be taken for granted of a network, found out with a few images before it is measured.

The networks of this library's spaces are known. Of any other nothing is assumed: which dimension tells the
samples apart, which weights are multiplied with, what is an activation, where its stages are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fusion.probes.calls import Calls
from fusion.probes.layers import CONVOLUTIONS
from fusion.probes.memory import is_of_spaces
from fusion.probes.survey.axes import Axes
from fusion.probes.survey.elementwise import Forms
from fusion.probes.survey.looks import TOLERANCE, ConstantNorms, Joins, Samples, samples_first
from fusion.probes.survey.products import Products, products
from fusion.probes.undefined import Broken, Undefined, as_undefined

# Of the activation units, how many have to be rectifiers, or have codes, for codes to say something.
_SHARE = 0.9


@dataclass
class Survey:
    """What was found out about a network.

    Attributes
    ----------
    weights : dict of str to Parameter
        Trained weights of convolutions and matrix products, each once, by name.
    incomplete : Undefined or None
        Why sums over weights would leave something out.
    redrawn : Undefined or None
        Why weights cannot be drawn anew as a source asks.
    computed : Undefined or None
        Why the absolute values of the parameters are not those of the weights.
    detached : Undefined or None
        Why it is not known what is trained.
    products : Products or None
        None for a network of this library's spaces.
    codes, bends, maps, stages, coupled : Undefined or None
        Why there are no activation codes; no second differences across kinks; no maps of all layers; no
        stages; no samples of their own.
    by_sample : dict of int to bool, or None
        Call -> whether the first dimension of its input and of its result has the samples one after the
        other; None where it always has.
    rectifiers : list of bool or None
        The same of the inputs of the activations with codes, in their order.
    stage_calls : frozenset of int or None
        Calls that give the stages; None where modules are known to be stages.
    map_calls : frozenset of int
        Calls of layers that give feature maps.
    axes : dict of int to int
        Call that gives maps -> dimension of their channels.
    smooth : bool
        Whether codes are the signs of the inputs of all activations, for too few are rectifiers.
    norms : list of bool
        Of each call of batch normalisation in training mode, whether it normalises what depends on the images
        with the batch's statistics.
    calls : int
        How many calls are numbered in a forward pass.
    """

    weights: dict[str, nn.Parameter]
    incomplete: Undefined | None = None
    redrawn: Undefined | None = None
    computed: Undefined | None = None
    detached: Undefined | None = None
    products: Products | None = None
    codes: Undefined | None = None
    bends: Undefined | None = None
    maps: Undefined | None = None
    stages: Undefined | None = None
    coupled: Undefined | None = None
    by_sample: dict[int, bool] | None = None
    rectifiers: list[bool] | None = None
    stage_calls: frozenset[int] | None = None
    map_calls: frozenset[int] = frozenset()
    axes: dict[int, int] = field(default_factory=dict)
    smooth: bool = False
    norms: list[bool] = field(default_factory=list)
    calls: int = 0

    @property
    def known(self) -> bool:
        """Whether nothing had to be found out."""
        return self.products is None

    def has_samples_first(self, number: int) -> bool:
        """Whether the first dimension in a call has the samples one after the other."""
        return self.by_sample is None or self.by_sample.get(number, False)


def require(reason: Undefined | None) -> None:
    """Raise a reason, if there is one."""
    if reason is not None:
        raise reason.again()


def survey(network: nn.Module, x: Tensor, forward: Callable[[Tensor], Tensor]) -> Survey:
    """Find out what can be taken for granted of a network.

    Parameters
    ----------
    network : Module
        Left as it was by `forward`, but for its mode.
    x : Tensor
        Images (batch, channels, height, width), three or more of them different.
    forward : callable
        Images -> logits, in the mode that the network is in, each time from the same state and random draws.
    """
    own = declared_weights(network)
    if is_of_spaces(network):
        return Survey(own)
    found = _weights(network, x, forward, own)
    if len(x) < 3:
        return _nothing_by_sample(found, Undefined("needs a batch of at least 3"))
    network.train()
    try:
        _look(found, x, forward)
    except Exception as error:  # whatever it is: the passes meet it too, and what does not keeps its value
        return _nothing_by_sample(found, as_undefined(error))
    return found


def _products(network: nn.Module, x: Tensor, forward: Callable[[Tensor], Tensor]) -> Products:
    network.eval()
    try:
        return products(network, x[:1], forward)
    except Exception as error:
        reason = as_undefined(error)
        return Products(reason, reason, reason, [], 0, frozenset())


def _look(found: Survey, x: Tensor, forward: Callable[[Tensor], Tensor]) -> None:
    """Find out which calls have the samples first, and what the activations are."""
    pair, other = x[:2].clone(), torch.stack([x[0], x[2]])
    if torch.equal(pair[1], other[1]):
        other[1] = other[1].flip(-1) + 1
    first, second, forms, others_forms = Samples(), Samples(), Forms(pair), Forms(other)
    axes, norms = Axes(), ConstantNorms(forms)
    stages = Joins(forms, axes)
    with Calls(norms, first, forms, axes, stages) as look:
        logits = forward(pair)
    with Calls(ConstantNorms(others_forms), second, others_forms) as again:
        others = forward(other)
    for error in (*look.failures.values(), *again.failures.values()):
        raise error
    found.norms, found.calls = norms.flags, look.count
    scale = TOLERANCE * float(logits.detach().abs().max())
    if bool(((logits[0] - others[0]).abs() > scale).any()):
        found.coupled = Undefined("samples depend on one another in other ways than by batch normalisation")
    if again.count != look.count:
        raise Undefined("the network computes in another way for other images")
    found.by_sample = first.compare(second)
    found.stage_calls, found.map_calls, found.axes = stages.calls(), frozenset(stages.maps), stages.axes
    _judge(found, forms, stages)
    found.rectifiers = [
        samples_first(p, q)
        for (is_rectifier, p), (_, q) in zip(first.activated, second.activated, strict=True)
        if is_rectifier or found.smooth
    ]
    if found.codes is None and not all(found.rectifiers):
        found.codes = Undefined("the input of an activation does not have one row per sample")


def _nothing_by_sample(found: Survey, reason: Undefined) -> Survey:
    found.codes = found.maps = found.stages = reason
    found.by_sample, found.rectifiers, found.stage_calls = {}, [], frozenset()
    return found


def _judge(found: Survey, forms: Forms, joins: Joins) -> None:
    """Say what cannot be had where activations are others than those known, or samples do not come first."""
    assert found.by_sample is not None
    assert found.stage_calls is not None
    by_sample = found.by_sample
    total = max(forms.rectifiers + forms.smooth + forms.others, 1)
    found.smooth = forms.rectifiers < _SHARE * total
    unknown = None
    if forms.bend:
        unknown = found.bends = Undefined(
            f"the network bends by {forms.bend}, which is not known as an activation"
        )
    elif forms.by_hand:
        unknown = Undefined("an activation is written out of others")
    found.codes = unknown
    if not unknown and forms.others > (1 - _SHARE) * total:
        found.codes = Undefined(f"{forms.others / total:.0%} of the activations have no codes")
    found.maps = unknown
    if not unknown and forms.moments:
        found.maps = Undefined(f"a layer is written out with {forms.moments}, its map is not known")
    elif not unknown and joins.unplaced:
        found.maps = Undefined("it is not known which dimension of a feature map has the channels")
    elif not unknown and not all(by_sample.get(number, False) for number in found.map_calls):
        found.maps = Undefined("feature maps do not have the samples first")
    assert found.products is not None
    if found.products.at_positions > joins.products:
        found.maps = found.stages = Undefined("a layer is written out as a product of matrices")
    elif joins.otherwise:
        found.stages = Undefined(f"feature maps are joined by {joins.otherwise}")
    elif forms.written:
        found.maps = found.stages = Undefined("the network writes into parts of its feature maps")
    elif not all(by_sample.get(number, False) for number in found.stage_calls):
        found.stages = Undefined("feature maps do not have the samples first")


def declared_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained weights of convolutions, linear layers and attention, each once, by name."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for path, module in network.named_modules():
        names: tuple[str, ...] = ("weight",) if isinstance(module, (*CONVOLUTIONS, nn.Linear)) else ()
        if isinstance(module, nn.MultiheadAttention):
            names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        for name in names:
            weight = module._parameters.get(name)
            if weight is not None and weight.requires_grad:
                found.setdefault(id(weight), (f"{path}.{name}".removeprefix("."), weight))
    return dict(found.values())


def _weights(
    network: nn.Module, x: Tensor, forward: Callable[[Tensor], Tensor], own: dict[str, nn.Parameter]
) -> Survey:
    """Return the survey of the weights alone."""
    seen = _products(network, x, forward)
    ours = {id(weight) for weight in own.values()}
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    found = Survey({}, products=seen)
    factors: set[str] = set()
    for names, direct in seen.factors:
        trained = [name for name in names if name in parameters]
        # what scales the weight of a layer, as the gain of a standardised convolution does, is none itself
        weights = [name for name in trained if id(parameters[name]) in ours]
        weights = weights if len(weights) == 1 else trained
        factors.update(weights)
        if len(weights) > 1:
            several = ", ".join(weights)
            found.incomplete = Undefined(f"a weight is computed from several parameters ({several})")
        for name in weights:
            if id(parameters[name]) not in ours:
                found.redrawn = found.redrawn or Undefined(
                    f"no initialisation is known of {name}, which is not the weight of a convolution, a "
                    "linear layer or attention"
                )
            if not direct or len(trained) > 1:
                found.computed = found.computed or Undefined(f"the weight of a layer is computed from {name}")
    found.weights = {name: p for name, p in parameters.items() if id(p) in ours or name in factors}
    if isinstance(seen.multiply_accumulates, Undefined):  # some product is not known, nor its weight
        found.incomplete = found.redrawn = found.computed = seen.multiply_accumulates
    if isinstance(seen.depth, Broken):
        found.incomplete = found.redrawn = found.computed = seen.depth
    else:
        found.detached = _detached(network, seen, forward, x)
    return found


def _detached(
    network: nn.Module, seen: Products, forward: Callable[[Tensor], Tensor], x: Tensor
) -> Undefined | None:
    """Return which trained weight the output depends on without a gradient, if there is one."""
    used = {n: p for n, p in network.named_parameters() if p.requires_grad and n in seen.used}
    if not used:
        return None
    try:
        logits = forward(x[:1])
        if not logits.requires_grad:
            return Undefined(f"{next(iter(used))} is used without a gradient")
        gradients = torch.autograd.grad(logits.sum(), [*used.values()], allow_unused=True)
    except Exception as error:
        return as_undefined(error)
    lost = [name for name, gradient in zip(used, gradients, strict=True) if gradient is None]
    return Undefined(f"{lost[0]} is used without a gradient") if lost else None
