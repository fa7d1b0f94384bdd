"""The indicators of any network, whether a search space has it or not."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from fusion.errors import FusionError
from fusion.extraction.planner import compute
from fusion.extraction.verb import draw_batch
from fusion.images import Batch, ImageSet
from fusion.indicators import INDICATORS, select
from fusion.plugins import load_object
from fusion.probes.base import Subject, preserved
from fusion.probes.memory import lay_out
from fusion.seeding import derive_seed, seeded
from fusion.spaces.zoo import LIBRARIES, Zoo
from fusion.work.devices import pick_device, single_thread
from fusion.work.precision import full_precision

Network: TypeAlias = nn.Module | Callable[[], nn.Module]


def load_network(text: str, arguments: Mapping[str, Any] | None = None) -> Network:
    """Return the network, or the function that builds it, that `module:name` or `file.py:name` names.

    Parameters
    ----------
    text : str
        See `fusion.plugins.load_object`; or `timm:NAME`, `torchvision:NAME`, as in the space `zoo`.
    arguments : mapping, optional
        Keyword arguments for the function; of the two libraries `num_classes` (1000), `in_channels` (3)
        and `size`, that of the images.

    Raises
    ------
    FusionError
        When nothing is to be loaded there, or it takes no arguments.
    """
    if text.partition(":")[0] in LIBRARIES:
        return _of_library(text, dict(arguments or {}))
    with _prints_apart():
        found: Network = load_object(text)
    if not arguments:
        return found
    if isinstance(found, nn.Module) or not callable(found):
        raise FusionError(f"{text!r} is of type {type(found).__name__}; only a function takes arguments")
    return partial(found, **arguments)


def _of_library(text: str, told: dict[str, Any]) -> Network:
    zoo = Zoo(told.pop("size", None))
    if unknown := told.keys() - {"num_classes", "in_channels"}:
        raise FusionError(
            f"{text}: takes num_classes, in_channels and size, not {', '.join(sorted(unknown))}"
        )
    return partial(zoo.build, zoo.canonical(text), **{"num_classes": 1000, **told})


def score(
    network: Network,
    images: str | Path | ImageSet | Batch,
    indicators: str | Sequence[str] = "standard",
    *,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Return the indicators of one network on one batch.

    Every pass runs in one torch thread, and with the same dropout masks, so that two calls give
    the same numbers; in the faster memory format where the network works there, which is tried.
    What the network prints goes to standard error.

    Parameters
    ----------
    network : nn.Module or function
        A module is copied, and left as it is. A function is called without arguments, with
        torch's CPU generator seeded from `seed`, and must return a new network. Images
        (batch, channels, height, width) must map to logits (batch, classes); of several outputs the
        first is taken, or what is called `logits`.
    images : str, path, ImageSet or Batch
        As in `fusion.images`; a batch of 64 is drawn with `seed`, but where a batch is given. Its labels
        must be smaller than the number of logits.
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
        ("ok", "ok: " with what has to be said of the value, or why there is none), `assumes` (under
        which modes, initialisation and labels the value is what its source defines), `seconds`.
        `attrs["remarks"]`: what has to be said of the network.

    Raises
    ------
    FusionError
        For an unknown indicator or device, a network that cannot be built or copied, and one that
        does not map these images to logits. What fails later makes a null with a status.

    Examples
    --------
    >>> import fusion
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> found = fusion.score(network, fusion.images("digits").batch(8), "params,naswot")
    >>> int(found.loc["params", "value"])
    1490
    """
    names = select(indicators)
    device = pick_device(device)
    batch = draw_batch(images, seed).to(device)
    with _prints_apart(), single_thread(), full_precision(), torch.enable_grad():
        built = _build(network, batch.x, seed)
        subject = Subject(lambda: built, batch, seed=derive_seed("probe", seed, 0))
        with torch.random.fork_rng([] if device == "cpu" else [device]):
            _check(subject)
            with _same_forwards(subject):
                values = compute(names, subject)
    table = pd.DataFrame(
        {
            "value": pd.array([value.value for value in values], dtype="Float64"),
            "status": [value.status for value in values],
            "assumes": [INDICATORS[name].assumes for name in names],
            "seconds": [value.seconds for value in values],
        },
        index=pd.Index(names, name="indicator"),
    )
    table.attrs["remarks"] = sorted(subject.remarks)
    return table


def lines(table: pd.DataFrame) -> list[str]:
    """Return what `score` found as text: a line for each value, then one for each reason without one.

    Then what has to be said of values, and of the network.
    """
    known = table[table["value"].notna()]
    width = max((len(str(name)) for name in known.index), default=0)
    text = [f"{name:<{width}}  {value:>12.6g}" for name, value in known["value"].items()]
    for reason, names in table[table["value"].isna()].groupby("status", sort=False).groups.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        text.append(f"no value: {reason} ({shown})")
    said = known["status"].str.removeprefix("ok").str.removeprefix(": ")
    for note, names in said[said != ""].groupby(said, sort=False).groups.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        text.append(f"note: {note} ({shown})")
    return text + [f"note: {remark}" for remark in table.attrs.get("remarks", [])]


def _prints_apart() -> redirect_stdout[TextIO]:
    """What a network prints is not what is asked for: it goes to standard error."""
    return redirect_stdout(sys.stderr)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _build(network: Network, x: Tensor, seed: int) -> nn.Module:
    """Return a network that is nobody else's, with weights."""
    with seeded(derive_seed("init", seed)):
        built = _copy_or_call(network)
        if any(isinstance(module, torch.jit.ScriptModule) for module in built.modules()):
            raise FusionError(
                "the network is made by torch.jit, which shows no layers and takes no hooks; "
                "give the nn.Module that was scripted or traced"
            )
        if any(is_lazy(tensor) for tensor in _all_tensors(built)):
            _initialise(built, x)
    return built


def _copy_or_call(network: Network) -> nn.Module:
    if isinstance(network, nn.Module):
        try:
            # torch copies parameters that have no shape yet, but not buffers
            lazy = (buffer for buffer in network.buffers() if is_lazy(buffer))
            return copy.deepcopy(network, {id(b): UninitializedBuffer() for b in lazy})
        except Exception as error:
            raise FusionError(
                f"the network cannot be copied ({_reason(error)}); give a function that returns it"
            ) from error
    if not callable(network):
        raise FusionError(
            f"expected an nn.Module or a function that returns one, but got {type(network).__name__}"
        )
    try:
        built = network()
    except Exception as error:
        raise FusionError(f"building the network failed: {_reason(error)}") from error
    if not isinstance(built, nn.Module):
        raise FusionError(f"the function must return an nn.Module, but returned {type(built).__name__}")
    return built


def _all_tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _initialise(network: nn.Module, x: Tensor) -> None:
    """Give lazy layers their weights, which they draw at the first forward pass."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(x[:2].cpu())
    except Exception as error:
        raise FusionError(
            f"the lazy layers of the network fail on images of shape {tuple(x.shape[1:])}: {_reason(error)}"
        ) from error
    for module, training in modes:
        module.training = training
    if any(is_lazy(tensor) for tensor in _all_tensors(network)):
        raise FusionError("the network has lazy layers that its forward pass does not reach; remove them")


@contextmanager
def _same_forwards(subject: Subject) -> Iterator[None]:
    """Give each forward its own copy of the images and the same random draws.

    A network may work in place on its input, and drop out: neither may reach the next pass.
    """

    def prepare(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        torch.manual_seed(derive_seed("forward", subject.seed))
        # strides of one-channel images may say channels last too; `view` and dropout's masks would follow
        return tuple(lay_out(x.clone(), subject.memory_format) for x in inputs)

    handle = subject.network.register_forward_pre_hook(prepare)
    try:
        yield
    finally:
        handle.remove()


def _check(subject: Subject) -> None:
    """Raise FusionError unless the network maps the first images to logits for their labels."""
    shape = tuple(subject.batch.x.shape[1:])
    try:
        network, x = subject.network, subject.x[:2].clone()
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
