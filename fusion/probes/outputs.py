"""What a network gives: which of it are the logits, and what they tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fusion.probes.undefined import Undefined

# Outputs that sum to the same for all images but for this, of how far they vary each, have a constant sum.
_CONSTANT = 1e-4
_ROUNDING = 1e-5


def inner(network: nn.Module) -> nn.Module:
    """Return a network without what only says how it is run, as `DataParallel` does; changed in place."""
    while True:
        wrapped = getattr(network, "_orig_mod", None)
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            wrapped = network.module
        if not isinstance(wrapped, nn.Module):
            break
        network = wrapped
    network._compiled_call_impl = None
    for name, module in network._modules.items():
        if module is not None and (other := inner(module)) is not module:
            network._modules[name] = other
    return network


def logits_of(output: Any) -> Any:
    """Return the logits among what a network gives: itself, the first of a sequence, or those of that name.

    What heads give that only help in training, as those of googlenet do, is left out.
    """
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if not isinstance(output, Tensor) and isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    if isinstance(output, list | tuple) and output:
        return logits_of(output[0])
    return output


def keep_logits(network: nn.Module, told: set[str]) -> None:
    """Let a network give its logits alone, and say in `told` where it gives more."""

    def keep(module: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            told.add("the network gives more than logits; the first, or what is called logits, is looked at")
        return logits_of(output)

    network.register_forward_hook(keep)


def require_signal(logits: Tensor) -> None:
    """Raise Undefined for outputs (batch, classes) that tell no inputs apart."""
    if len(logits) < 2:
        raise Undefined("needs a batch of at least 2")
    if not logits.isfinite().all():
        raise Undefined("the outputs are not finite")
    if torch.equal(logits, logits[:1].expand_as(logits)):
        raise Undefined("the output is the same for every input")


def require_sum(logits: Tensor) -> None:
    """Raise Undefined for outputs (batch, classes) whose sum tells nothing: its gradient is rounding.

    Outputs of one image have to be no probabilities; those of several, to have different sums.
    """
    logits = logits.detach()
    sums = logits.sum(1)
    if logits.min() >= 0 and logits.max() <= 1 and bool(((sums - 1).abs() <= _ROUNDING).all()):
        raise Undefined("the outputs are probabilities, whose sum is always 1; give the logits")
    same = "the outputs of every image have the same sum"
    if len(logits) == 1:
        if bool(sums.abs() <= _ROUNDING * logits.abs().sum()):
            raise Undefined(same)
        return
    spread, apart = float(sums.max() - sums.min()), float((logits.amax(0) - logits.amin(0)).sum())
    if spread <= _CONSTANT * apart:
        raise Undefined(same)
