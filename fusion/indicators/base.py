"""What an indicator is: a pure function of observations, and what users must know about it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fusion.errors import FusionError
from fusion.probes.base import COSTS, RUNNING, Observations, Undefined, provider
from fusion.probes.structure import cells
from fusion.registry import Registry


@dataclass(frozen=True)
class Indicator:
    """A registered indicator.

    Attributes
    ----------
    name, summary : str
        As in tables; the first line of the function's docstring.
    formula, source : str
        In plain text; the paper.
    higher_is_better : bool
        Direction in which the source expects better architectures.
    assumes : str
        Batch normalisation mode, labels, initialisation: on what the value depends.
    needs : tuple of str
        Observations, from the function's parameter names.
    cost : str
        The highest cost class among the observations, one of `fusion.probes.COSTS`.
    version : int
        Raised when the same inputs give another value than before.
    function : callable
        Observations -> float; raises Undefined with a reason where there is no value.
    """

    name: str
    summary: str
    formula: str
    source: str
    higher_is_better: bool
    assumes: str
    needs: tuple[str, ...]
    cost: str
    version: int
    function: Callable[..., float]

    def __call__(self, observations: Observations) -> float:
        """Return the value.

        Raises
        ------
        Undefined
            When an observation is undefined, or the value is, or it is not a finite number.
        """
        for name in self.needs:
            if isinstance(observations[name], Undefined):
                raise observations[name].again()
        value = float(self.function(**{name: observations[name] for name in self.needs}))
        if not math.isfinite(value):
            raise Undefined(f"value is {value}")
        return value

    def describe(self) -> dict[str, Any]:
        """Return everything but the function, as JSON values."""
        return {
            "name": self.name,
            "summary": self.summary,
            "formula": self.formula,
            "source": self.source,
            "higher_is_better": self.higher_is_better,
            "cost": self.cost,
            "assumes": self.assumes,
            "needs": list(self.needs),
            "version": self.version,
        }


INDICATORS: Registry[Indicator] = Registry("indicator", "fusion.indicators")

# Preset -> the highest cost class in it; the four of the Fusion Indicator; what is weighed against accuracy.
_BY_COST = {
    "structure": "structure",
    "forward": "forward",
    "fast": "backward",
    "standard": "passes",
    "full": "many",
}
FI = ("cj", "os", "nlr", "cnntk")
COST = ("params", "flops", "latency", "peak_memory", "energy")
_NAMED = {"fi": FI, "cost": COST}
PRESETS = (*_BY_COST, *_NAMED)

ENCODING = "encoding"
"""What stands for all columns of the encoding wherever indicators of a model are named."""
# presets that stand for these too: what can be had without any pass
_ENCODED = ("structure",)


def indicator(
    *, formula: str, source: str, higher_is_better: bool, assumes: str, version: int = 1
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Return a decorator that registers a function as the indicator of its name.

    The function's parameters are the names of the observations that it needs.

    Raises
    ------
    KeyError
        When no probe gives one of the observations.
    """

    def decorate(function: Callable[..., float]) -> Callable[..., float]:
        needs = tuple(inspect.signature(function).parameters)
        cost = max((provider(name).provides[name] for name in needs), key=COSTS.index)
        name = function.__name__
        summary = (function.__doc__ or "").strip().splitlines()[0]
        INDICATORS.register(
            Indicator(
                name, summary, formula, source, higher_is_better, assumes, needs, cost, version, function
            )
        )
        return function

    return decorate


def needs_graphs(name: str) -> bool:
    """Return whether an indicator is a function of the graphs of an architecture's cells."""
    return not cells.provides.keys().isdisjoint(INDICATORS[name].needs)


def of_running(name: str) -> bool:
    """Return whether an indicator is what running the network costs, of which models learn nothing."""
    return name in INDICATORS and INDICATORS[name].cost == RUNNING


def select(names: str | Sequence[str], encoding: Sequence[str] = ()) -> list[str]:
    """Return indicator names from a preset, a comma-separated list, or a sequence.

    Parameters
    ----------
    names : str or sequence of str
    encoding : sequence of str
        Columns of the encoding, for which `encoding` and the preset `structure` stand too. There are none
        where indicators are computed.

    Raises
    ------
    FusionError
        For an unknown name, or none at all.

    Examples
    --------
    >>> import fusion
    >>> fusion.select("params,fi")
    ['params', 'cj', 'os', 'nlr', 'cnntk']
    """
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    chosen: list[str] = []
    for name in filter(None, wanted):
        if name == ENCODING:
            chosen += encoding
        elif name in _BY_COST:
            limit = COSTS.index(_BY_COST[name])
            chosen += [n for n in INDICATORS if COSTS.index(INDICATORS[n].cost) <= limit]
            chosen += encoding if name in _ENCODED else ()
        elif name in _NAMED:
            chosen += _NAMED[name]
        else:
            chosen.append(INDICATORS[name].name)
    if not chosen and ENCODING in wanted:
        raise FusionError(
            "the encoding is read off the architectures, wherever models read a table: nothing is to be "
            f"computed; name indicators beside it, or a preset: {', '.join(PRESETS)}"
        )
    if not chosen:
        raise FusionError(f"no indicator chosen; name some, or a preset: {', '.join(PRESETS)}")
    return list(dict.fromkeys(chosen))
