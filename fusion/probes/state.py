"""A network with other parameters and buffers than its own, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def having(network: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a network have other tensors in the block, for its backward passes too; then its own again.

    Unlike `torch.func.functional_call`, whose tensors are gone when it returns, this serves networks that
    compute again in their backward pass, that have a module or a parameter under two names, and recurrent
    layers, which keep a list of their weights.

    Parameters
    ----------
    network : Module
    state : mapping of str to Tensor
        By names of `named_parameters` and `named_buffers`; of what has several names, the first. What is not
        in it stays.
    """
    first: dict[int, str] = {}
    places: list[tuple[dict[str, Any], str, Any]] = []
    recurrent: list[nn.RNNBase] = []
    for path, module in network.named_modules():
        recurrent += [module] if isinstance(module, nn.RNNBase) else []
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is not None and first.setdefault(id(tensor), _join(path, name)) in state:
                    places.append((own, name, tensor))
    try:
        for own, name, tensor in places:
            own[name] = state[first[id(tensor)]]
        _list_weights(recurrent)
        yield
    finally:
        for own, name, tensor in places:
            own[name] = tensor
        _list_weights(recurrent)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def own_parameters(network: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """Yield each parameter once: its first name, its module, and its name there."""
    seen: set[int] = set()
    for path, module in network.named_modules():
        for own, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                yield _join(path, own), module, own, parameter


def _list_weights(layers: list[nn.RNNBase]) -> None:
    for layer in layers:
        layer._flat_weights = [getattr(layer, name, None) for name in layer._flat_weights_names]


@contextmanager
def own_buffers_kept(network: nn.Module) -> Iterator[None]:
    """Let a network write into copies of its buffers in the block."""
    copies = {name: buffer.detach().clone() for name, buffer in network.named_buffers()}
    with having(network, copies):
        yield
