"""Calls of torch's functions, by whomever they are made: modules, forwards written out, operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Names of one thing, and those of operators.
_SAME = {
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "multiply": "mul",
    "negative": "neg",
    "rdiv": "div",
    "rsub": "sub",
    "subtract": "sub",
    "true_divide": "div",
    "truediv": "div",
}
PRODUCTS = frozenset(
    {
        *("conv1d", "conv2d", "conv3d"),
        *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        "linear",
    }
)
NORMS = frozenset(
    {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"}
)

POOLS = frozenset(
    {
        *(
            f"{way}_pool{d}d"
            for way in ("max", "avg", "lp", "adaptive_avg", "adaptive_max")
            for d in (1, 2, 3)
        ),
        *("interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle"),
    }
)
# Calls that are numbered: those that can be stages, maps, layers or activations.
_NUMBERED = (
    PRODUCTS
    | NORMS
    | POOLS
    | {"add", "cat"}
    | {
        *("relu", "relu6", "leaky_relu", "prelu", "hardtanh", "clamp", "clamp_min", "threshold"),
        *("silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu", "celu", "selu", "mish"),
        *("softplus", "softsign", "logsigmoid", "tanhshrink", "rrelu", "glu"),
    }
)


@cache
def _name(name: str) -> str:
    name = name.removesuffix(".default").removesuffix(".Tensor")
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name in _REFLECTED:
            name = name[1:]
    name = name.strip("_")
    return _SAME.get(name, name)


_REFLECTED = frozenset(
    f"{way}{name}" for way in "ri" for name in ("add", "sub", "mul", "truediv", "pow", "and", "or")
)


def name_of(func: Callable[..., Any]) -> str:
    """Return the name of a function without what says how it is written: `relu` of `Tensor.relu_`."""
    return _name(getattr(func, "__name__", ""))


@dataclass(slots=True)
class Call:
    """One call of a function.

    Attributes
    ----------
    number : int
        How many calls of layers, activations and sums were made before; -1 for a call of anything else.
    name : str
        See `name_of`.
    func : callable
    args, kwargs
        As they were given.
    """

    number: int
    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument that may be given by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    @property
    def input(self) -> Any:
        """What the function works on."""
        return self.argument(0, "input")

    @property
    def in_place(self) -> bool:
        """Whether the function writes over its input."""
        name = getattr(self.func, "__name__", "")
        written = name.endswith("_") and not name.endswith("__")
        return (
            written
            or (name.startswith("__i") and name not in ("__invert__", "__int__", "__index__"))
            or (
                self.kwargs.get("inplace") is True
                or (self.func in _IN_PLACE and any(value is True for value in self.args))
            )
        )


# Functions of which the only argument that is true or false says whether they write over their input.
_IN_PLACE = frozenset(
    {
        *(functional.relu, functional.relu6, functional.leaky_relu, functional.hardtanh),
        *(functional.silu, functional.hardswish, functional.hardsigmoid, functional.mish),
        *(functional.elu, functional.celu, functional.selu),
    }
)


class Watcher:
    """Looks at calls, each before and after it is made.

    Attributes
    ----------
    names : frozenset of str or None
        Of the functions that it looks at; None for all. Where all watchers name theirs, calls have no
        numbers.
    """

    names: frozenset[str] | None = None

    def instead(self, call: Call) -> Call:
        """Return the call that is made, which is the same for most."""
        return call

    def before(self, call: Call) -> None:
        """Look at a call that is about to be made."""

    def after(self, call: Call, out: Any) -> Any:
        """Return what the caller gets, which is `out` for most."""
        return out


class Calls(TorchFunctionMode):
    """Shows the calls that are made in the block to watchers; what fails in one is its own.

    Attributes
    ----------
    count : int
        Calls so far.
    failures : dict of Watcher to Exception
        Watchers that raised, which see nothing more.
    """

    def __init__(self, *watchers: Watcher) -> None:
        super().__init__()
        self.watchers = list(watchers)
        self.names: frozenset[str] | None = frozenset()
        for watcher in watchers:
            self.names = None if self.names is None or watcher.names is None else self.names | watcher.names
        self.failures: dict[Watcher, Exception] = {}
        self.count = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the call, between looks at it."""
        name = name_of(func)
        if self.names is not None and name not in self.names:
            return func(*args, **(kwargs or {}))
        numbered = name in _NUMBERED
        call = Call(self.count if numbered else -1, name, func, args, kwargs or {})
        self.count += numbered
        watchers = tuple(self.watchers)
        for watcher in watchers:
            call = watcher.instead(call)
        for watcher in watchers:
            try:
                watcher.before(call)
            except Exception as error:
                self._drop(watcher, error)
        out = call.func(*call.args, **call.kwargs)
        for watcher in tuple(self.watchers):
            try:
                out = watcher.after(call, out)
            except Exception as error:
                self._drop(watcher, error)
        return out

    def _drop(self, watcher: Watcher, error: Exception) -> None:
        self.failures[watcher] = error
        self.watchers.remove(watcher)


def tensors_in(*values: Any) -> Iterator[Tensor]:
    """Yield the tensors among arguments, also those in lists and mappings."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(*value)
        elif isinstance(value, Mapping):
            yield from tensors_in(*value.values())
