"""The indicators of any network, whether a search space has it or not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import pandas as pd
import torch
from torch import Tensor, nn

from fusion.errors import FusionError
from fusion.extraction.planner import compute
from fusion.images.base import Batch
from fusion.indicators import INDICATORS, select
from fusion.plugins import load_object
from fusion.probes.base import Subject, preserved
from fusion.seeding import derive_seed, seeded
from fusion.work.devices import pick_device, single_thread
from fusion.work.precision import full_precision

Network: TypeAlias = nn.Module | Callable[[], nn.Module]


def load_network(text: str, arguments: Mapping[str, Any] | None = None) -> Network:
    """Return the network, or the function that builds it, that `module:name` or `file.py:name` names.

    Parameters
    ----------
    text : str
        See `fusion.plugins.load_object`.
    arguments : mapping, optional
        Keyword arguments for the function.

    Raises
    ------
    FusionError
        When nothing is to be loaded there, or it takes no arguments.
    """
    found: Network = load_object(text)
    if not arguments:
        return found
    if isinstance(found, nn.Module) or not callable(found):
        raise FusionError(f"{text!r} is of type {type(found).__name__}; only a function takes arguments")
    return partial(found, **arguments)


def score(
    network: Network,
    batch: Batch,
    indicators: str | Sequence[str] = "standard",
    *,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Return the indicators of one network on one batch.

    Every pass runs in one torch thread, in the default memory format, and with the same dropout
    masks, so that two calls give the same numbers.

    Parameters
    ----------
    network : nn.Module or function
        A module is copied, and left as it is. A function is called without arguments, with
        torch's CPU generator seeded from `seed`, and must return a new network. Images
        (batch, channels, height, width) must map to logits (batch, classes).
    batch : Batch
        On any device; its labels must be smaller than the number of logits.
    indicators : str or sequence of str
        Names or a preset; see `fusion.indicators.select`.
    seed : int
        From which initialisation, noise and dropout derive.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns
    -------
    DataFrame
        Index: `indicator`, in the order asked for. Columns: `value` (nullable Float64), `status`
        ("ok", or why there is no value), `assumes` (under which modes, initialisation and labels
        the value is what its source defines), `seconds`.

    Raises
    ------
    FusionError
        For an unknown indicator or device, a network that cannot be built or copied, and one that
        does not map these images to logits. What fails later makes a null with a status.
    """
    names = select(indicators)
    device = pick_device(device)
    built = _build(network, seed)
    subject = _Foreign(lambda: built, batch.to(device), seed=derive_seed("probe", seed, 0))
    forwards = _same_forwards(built, subject.seed, device)
    with single_thread(), full_precision(), torch.enable_grad(), forwards:
        _check(subject)
        values = compute(names, subject)
    return pd.DataFrame(
        {
            "value": pd.array([value.value for value in values], dtype="Float64"),
            "status": [value.status for value in values],
            "assumes": [INDICATORS[name].assumes for name in names],
            "seconds": [value.seconds for value in values],
        },
        index=pd.Index(names, name="indicator"),
    )


def lines(table: pd.DataFrame) -> list[str]:
    """Return what `score` found as text: a line for each value, then one for each reason without one."""
    known = table[table["value"].notna()]
    width = max((len(str(name)) for name in known.index), default=0)
    text = [f"{name:<{width}}  {value:>12.6g}" for name, value in known["value"].items()]
    for reason, names in table[table["value"].isna()].groupby("status", sort=False).groups.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        text.append(f"no value: {reason} ({shown})")
    return text


class _Foreign(Subject):
    """A network of unknown make: channels last would break its `view`s and five-dimensional weights."""

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.contiguous_format


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _build(network: Network, seed: int) -> nn.Module:
    """Return a network that is nobody else's."""
    if isinstance(network, nn.Module):
        try:
            built = copy.deepcopy(network)
        except Exception as error:
            raise FusionError(
                f"the network cannot be copied ({_reason(error)}); give a function that returns it"
            ) from error
    elif callable(network):
        try:
            with seeded(derive_seed("init", seed)):
                built = network()
        except Exception as error:
            raise FusionError(f"building the network failed: {_reason(error)}") from error
        if not isinstance(built, nn.Module):
            raise FusionError(f"the function must return an nn.Module, but returned {type(built).__name__}")
    else:
        raise FusionError(
            f"expected an nn.Module or a function that returns one, but got {type(network).__name__}"
        )
    return built


@contextmanager
def _same_forwards(network: nn.Module, seed: int, device: str) -> Iterator[None]:
    """Give each forward its own copy of the images and the same random draws.

    A network may work in place on its input, and drop out: neither may reach the next pass.
    """

    def prepare(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        torch.manual_seed(derive_seed("forward", seed))
        # strides of one-channel images may say channels last too; `view` and dropout's masks would follow
        return tuple(x.clone(memory_format=torch.contiguous_format) for x in inputs)

    handle = network.register_forward_pre_hook(prepare)
    try:
        with torch.random.fork_rng([] if device == "cpu" else [device]):
            yield
    finally:
        handle.remove()


def _check(subject: Subject) -> None:
    """Raise FusionError unless the network maps the first images to logits for their labels."""
    shape = tuple(subject.x.shape[1:])
    try:
        network, x = subject.network, subject.x[:2]
        with preserved(network), torch.no_grad():
            network.eval()
            logits = network(x)
    except Exception as error:
        raise FusionError(f"the network fails on images of shape {shape}: {_reason(error)}") from error
    wanted = "it must return logits of shape (batch, classes)"
    if not isinstance(logits, Tensor):
        raise FusionError(f"the network returns a {type(logits).__name__}; {wanted}")
    if logits.dim() != 2 or len(logits) != len(x):
        raise FusionError(f"the network maps images {tuple(x.shape)} to {tuple(logits.shape)}; {wanted}")
    if (label := int(subject.batch.y.max())) >= logits.shape[1]:
        raise FusionError(
            f"the network gives {logits.shape[1]} logits, but the images have a label {label}; "
            f"give it {subject.batch.num_classes} classes"
        )
