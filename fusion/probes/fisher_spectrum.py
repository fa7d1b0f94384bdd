"""The Fisher information of a few weights: one of each tensor, exactly, over all classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fusion.probes.base import Observations, Subject, preserved, probe
from fusion.probes.initialisation import kaiming
from fusion.probes.one_by_one import each_sample
from fusion.probes.outputs import require_signal
from fusion.probes.state import having
from fusion.probes.survey import require
from fusion.probes.undefined import Undefined

SAMPLES = 16
TENSORS = 128
SMOOTHING = 0.05

# gradient per sample of the first weight of a tensor: (input, output gradient) -> (samples,)
First = Callable[[Tensor, Tensor], Tensor]


def _first_weight(module: nn.Module) -> First:
    if (
        isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    ):
        (down, across), (sy, sx) = module.padding, module.stride

        def convolution(a: Tensor, g: Tensor) -> Tensor:
            # the kernel's upper left corner sees the padded image from its upper left corner on
            corner = nn.functional.pad(a[:, 0], (across, across, down, down))[:, ::sy, ::sx]
            return (corner[:, : g.shape[2], : g.shape[3]] * g[:, 0]).sum((1, 2))

        return convolution
    if isinstance(module, nn.BatchNorm2d):
        scale = 1 / (1 + module.eps) ** 0.5  # fresh statistics: mean 0, variance 1
        return lambda a, g: (a[:, 0] * g[:, 0]).sum((1, 2)) * scale
    if isinstance(module, nn.Linear):
        return lambda a, g: (a[..., 0] * g[..., 0]).flatten(1).sum(1) if a.dim() > 2 else a[:, 0] * g[:, 0]
    raise _unknown(module)


def _first_bias(module: nn.Module) -> First:
    if isinstance(module, nn.Linear):
        return lambda a, g: g[..., 0].flatten(1).sum(1) if g.dim() > 2 else g[:, 0]
    return lambda a, g: g[:, 0].sum((1, 2))


def _first(module: nn.Module, name: str) -> First:
    if name == "weight":
        return _first_weight(module)
    if name == "bias" and isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
        return _first_bias(module)
    raise _unknown(module)


def _unknown(module: nn.Module) -> Undefined:
    return Undefined(f"no gradient per sample of {type(module).__name__}")


class _Rows:
    """Gradients per sample of the chosen weights, collected over the backward passes of all classes."""

    def __init__(self, network: nn.Module) -> None:
        self.places: dict[nn.Module, list[tuple[int, First]]] = {}
        owners = dict(network.named_modules())
        chosen = [name for name, _ in network.named_parameters()][:TENSORS]
        for index, name in enumerate(chosen):
            path, _, own = name.rpartition(".")
            module = owners[path]
            self.places.setdefault(module, []).append((index, _first(module, own)))
        self.count = len(chosen)
        self.classes: list[Tensor] = []

    def next_class(self, samples: int) -> None:
        """Collect what comes from now on as the next class."""
        self.classes.append(torch.zeros(samples, self.count, dtype=torch.float64))

    def watch(self, module: nn.Module) -> RemovableHandle:
        def on_forward(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            a = inputs[0].detach()

            def on_backward(g: Tensor) -> None:
                for index, first in self.places[module]:
                    self.classes[-1][:, index] += first(a, g).double().cpu()

            if output.requires_grad:
                output.register_hook(on_backward)

        return module.register_forward_hook(on_forward)


@probe(fisher_information="many")
def fisher_spectrum(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in evaluation mode with Kaiming fan-in weights; one backward for each class.

    Of the first 16 images, and of the first weight of each of the first 128 parameter tensors.
    Batch normalisation has fresh statistics, so no sample depends on another.

    Observations
    ------------
    fisher_information : Tensor (tensors, tensors), float64
        mean_n J_n^T (diag p - p p^T) J_n, J_n the Jacobian of sample n's logits, p its softmax,
        smoothed by 5 %.
    """
    network, told = subject.network, subject.survey
    require(told.detached or told.redrawn)
    x = subject.x[:SAMPLES].clone().requires_grad_()
    state = _fresh(network, subject.seed)
    with preserved(network), torch.enable_grad():
        network.eval()
        logits, j = (_in_one_pass if told.known else _one_by_one)(network, state, x)
    p = (1 - SMOOTHING) * logits.detach().double().cpu().softmax(1) + SMOOTHING / logits.shape[1]
    weighted = p[:, :, None] * (j - (p[:, :, None] * j).sum(1, keepdim=True))
    return {"fisher_information": torch.einsum("nkp,nkq->pq", j, weighted) / len(x)}


def _fresh(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return new weights, and statistics of normalisation as before training."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise Undefined("batch normalisation keeps no statistics that could be held constant")
    state = kaiming(network, "fan_in", seed)
    for name, buffer in network.named_buffers():
        fresh = buffer.clone()
        if name.endswith("running_mean"):
            fresh.zero_()
        elif name.endswith("running_var"):
            fresh.fill_(1)
        state[name] = fresh
    return state


def _in_one_pass(network: nn.Module, state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits, and their gradients (samples, classes, tensors), with one backward for each class."""
    handles: list[RemovableHandle] = []
    try:
        rows = _Rows(network)
        handles = [rows.watch(module) for module in rows.places]
        with having(network, state):
            logits = network(x)
            require_signal(logits.detach())
            for label in range(logits.shape[1]):
                rows.next_class(len(x))
                torch.autograd.grad(logits[:, label].sum(), x, retain_graph=True)
    finally:
        for handle in handles:
            handle.remove()
    return logits, torch.stack(rows.classes, 1)


def _one_by_one(network: nn.Module, state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same with one backward for each class of each sample, for any network."""
    names = [name for name, p in network.named_parameters() if p.requires_grad][:TENSORS]
    if not names:
        raise Undefined("no weight of the network is trained")
    leaves = [state[name].detach().clone().requires_grad_() for name in names]
    state = {**state, **dict(zip(names, leaves, strict=True))}
    found, rows = [], []
    with having(network, state):
        for logits in each_sample(network, x.detach(), (), require_signal):
            found.append(logits.detach())
            rows.append([_first_entries(logit, leaves) for logit in logits[0]])
    return torch.cat(found), torch.tensor(rows, dtype=torch.float64)


def _first_entries(logit: Tensor, leaves: list[Tensor]) -> list[float]:
    gradients = torch.autograd.grad(logit, leaves, retain_graph=True, allow_unused=True)
    return [0.0 if gradient is None else float(gradient.flatten()[0]) for gradient in gradients]
