"""Gradients of one sample after the other: for any network, at a forward and a backward for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.probes.calls import Call, Calls, Watcher
from fusion.probes.outputs import require_signal, require_sum
from fusion.probes.state import having
from fusion.probes.survey.looks import norm_call
from fusion.probes.undefined import Undefined

# By how much a sample's outputs alone may differ from those in its batch, of the largest.
_TOLERANCE = 1e-3
# Numbers of gradients that are held at once.
_HELD = 2**28


class BatchStatistics(Watcher):
    """Keeps batch normalisation at the statistics of the first batch.

    Parameters
    ----------
    flags : sequence of bool
        Of each batch normalisation in training mode, whether it uses the batch's statistics.
    """

    def __init__(self, flags: Sequence[bool]) -> None:
        self.flags = list(flags)
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.learning = True
        self.place = 0

    def restart(self) -> None:
        """Expect the next forward pass."""
        if self.learning and not all(self.flags) and self.place != len(self.flags):
            raise Undefined("the network normalises otherwise in training mode")
        self.learning, self.place = False, 0

    def instead(self, call: Call) -> Call:
        """Return the call with constant statistics."""
        if call.func is not functional.batch_norm:
            return call
        place, self.place = self.place, self.place + 1
        x, eps = call.input, float(call.argument(7, "eps", 1e-5))
        if self.learning:
            _, mean, scale = torch.native_batch_norm(x.detach(), None, None, None, None, True, 0.0, eps)
            self.kept.append((mean, (scale.double().pow(-2) - eps).to(mean)))
        if not (all(self.flags) or self.flags[place : place + 1] == [True]):
            return call
        return norm_call(call, *self.kept[place])


class PlainNorms(Watcher):
    """Gives batch normalisation of one image tensors with the strides of their memory format.

    The stride of the images means nothing where there is one. On the CPU, torch (seen in 2.13) tells formats
    by it in the backward pass all the same, takes one for the other where what follows are tokens, and gives
    wrong gradients.
    """

    names = frozenset({"batch_norm"})

    def instead(self, call: Call) -> Call:
        """Return the call with such images."""
        if call.func is not functional.batch_norm:
            return call
        if call.args:
            return replace(call, args=(_plain(call.input), *call.args[1:]))
        return replace(call, kwargs={**call.kwargs, "input": _plain(call.input)})

    def after(self, call: Call, out: Any) -> Any:
        """Let the gradient come by with such strides."""
        if call.func is functional.batch_norm and out.requires_grad:
            out.register_hook(_plain)
        return out


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor of one image in the default format, unless its strides are those of a format."""
    plain = tensor.dim() < 4 or tensor.stride(0) == tensor.numel()
    return tensor if plain else tensor.clone(memory_format=torch.contiguous_format)


def each_sample(
    network: nn.Module,
    x: Tensor,
    flags: Sequence[bool],
    check: Callable[[Tensor], None],
) -> Iterator[Tensor]:
    """Yield the logits (1, classes) of each sample alone, batch statistics held constant.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    x : Tensor
        Images (batch, channels, height, width).
    flags : sequence of bool
        As of `BatchStatistics`; empty where batch normalisation has running statistics.
    check : callable
        Raises Undefined for logits (batch, classes) that are of no use.

    Raises
    ------
    Undefined
        Where samples depend on one another in other ways.
    """
    norms = BatchStatistics(flags)
    watchers = [norms] if norms.flags else []

    def run(images: Tensor) -> Tensor:
        with Calls(*watchers, *([PlainNorms()] if len(images) == 1 else [])):
            logits: Tensor = network(images)
        norms.restart()
        return logits

    with torch.no_grad():
        together = run(x)
    check(together)
    scale = _TOLERANCE * float(together.abs().max())
    for number in range(len(x)):
        logits = run(x[number : number + 1])
        if not bool(((logits.detach() - together[number]).abs() <= scale).all()):
            raise Undefined(
                "a sample alone has other outputs than in its batch: samples depend on one another in other "
                "ways than by batch normalisation, or rounding is as large as the outputs"
            )
        yield logits


def gram_one_by_one(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    trained: Sequence[str],
    x: Tensor,
    flags: Sequence[bool],
    used: frozenset[str] = frozenset(),
) -> Tensor:
    """Return the inner products of the samples' gradients of summed logits, (batch, batch), float64.

    What does not fit into memory is computed in several rounds, of some of the weights each. Raises Undefined
    where one of the parameters that are `used` has no gradient, as where a network keeps what it computed.
    """
    total = torch.zeros(len(x), len(x), dtype=torch.float64)
    for names in _rounds(parameters, trained, len(x)):
        state = {name: value.detach() for name, value in parameters.items()}
        leaves = [state[name].clone().requires_grad_() for name in names]
        state.update(zip(names, leaves, strict=True))
        rows = [leaf.new_zeros(len(x), leaf.numel()) for leaf in leaves]
        with torch.enable_grad(), having(network, state):
            for number, logits in enumerate(each_sample(network, x, flags, _useful)):
                gradients = torch.autograd.grad(logits.sum(), leaves, allow_unused=True)
                for name, row, gradient in zip(names, rows, gradients, strict=True):
                    if gradient is not None:
                        row[number] = gradient.flatten()
                    elif name in used:
                        raise Undefined(f"{name} has no gradient in evaluation mode")
        for row in rows:
            total += (row @ row.T).double().cpu()
    return total


def _useful(logits: Tensor) -> None:
    require_signal(logits)
    require_sum(logits)


def _rounds(parameters: Mapping[str, Tensor], trained: Sequence[str], samples: int) -> Iterator[list[str]]:
    names: list[str] = []
    held = 0
    for name in trained:
        size = samples * parameters[name].numel()
        if names and held + size > _HELD:
            yield names
            names, held = [], 0
        names.append(name)
        held += size
    if names:
        yield names
