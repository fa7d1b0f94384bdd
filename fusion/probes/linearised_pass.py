"""The linearised pass: absolute weights, no normalisation, an image of ones, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fusion.probes.base import Observations, Subject, preserved, probe
from fusion.probes.calls import NORMS, Call, name_of
from fusion.probes.outputs import require_sum
from fusion.probes.state import having
from fusion.probes.survey import require
from fusion.probes.survey.elementwise import Forms
from fusion.probes.undefined import Undefined

# An image so many times as bright, by how much the outputs have to grow at least.
_FAR = 1000.0
_GROWTH = 10.0


class _HandOn(TorchFunctionMode):
    """Replaces normalisation by its input."""

    def __init__(self, forms: Forms | None) -> None:
        super().__init__()
        self.forms = forms

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Make the call, unless it normalises."""
        call = Call(-1, name_of(func), func, args, kwargs or {})
        if call.name in NORMS and (self.forms is None or self.forms.depends(call.input)):
            return call.input
        if self.forms is None:
            return func(*args, **call.kwargs)
        self.forms.before(call)
        return self.forms.after(call, func(*args, **call.kwargs))


@probe(synaptic_flow="passes")
def linearised_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward and backward of one image of ones, weights replaced by their absolute values.

    Normalisation layers hand their input on. Values reach 10^61, hence float64.

    Observations
    ------------
    synaptic_flow : list of Tensor
        |w| d(sum of outputs)/d|w| for each convolution and linear layer, of its weight's shape.
    """
    network, told = subject.network, subject.survey
    require(told.detached or told.incomplete or told.computed)
    names = [*told.weights]
    if not names:
        raise Undefined("no weight of a convolution or linear layer is trained")
    # tensors are swapped for the call: the network itself keeps its own
    state: dict[str, Tensor] = {n: b.detach().clone() for n, b in network.named_buffers()}
    if not told.known:  # frozen weights and biases may be buffers
        state = {n: b.abs() if b.is_floating_point() else b for n, b in state.items()}
    state |= {n: p.detach().abs() for n, p in network.named_parameters()}
    state = {n: t.double() if t.is_floating_point() else t for n, t in state.items()}
    weights = [state[name].requires_grad_() for name in names]
    ones = torch.ones_like(subject.x[:1], dtype=torch.float64)
    forms = None if told.known else Forms(ones)
    with preserved(network), having(network, state), torch.enable_grad(), _HandOn(forms):
        network.eval()
        out = network(ones)
        if forms is not None:
            _require_growth(forms, out, lambda: network(_FAR * ones))
            require_sum(out)
        gradients = torch.autograd.grad(out.sum(), weights, allow_unused=True)
    return {
        "synaptic_flow": [
            torch.zeros_like(w) if g is None else (w * g).detach()
            for w, g in zip(weights, gradients, strict=True)
        ]
    }


def _require_growth(forms: Forms, out: Tensor, again: Callable[[], Tensor]) -> None:
    """Raise Undefined where something normalises that is not known, so that it was not left out.

    Without it outputs grow with the image, unless an activation stops growing.
    """
    normalised = Undefined("the network normalises by hand, which cannot be left out")
    if forms.moments:
        raise normalised
    if not forms.saturates:
        with torch.no_grad():
            far = again()
        if not float(far.abs().sum()) >= _GROWTH * float(out.detach().abs().sum()):
            raise normalised
